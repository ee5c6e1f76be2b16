# The exporters of Debian in one image, under the names that their official images give them.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN export DEBIAN_FRONTEND=noninteractive \
 && apt-get update \
 && apt-get install --yes --no-install-recommends \
        prometheus-postgres-exporter prometheus-pgbouncer-exporter prometheus-redis-exporter \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb \
 && ln -s prometheus-postgres-exporter /usr/bin/postgres_exporter \
 && ln -s prometheus-pgbouncer-exporter /usr/bin/pgbouncer_exporter \
 && ln -s /usr/bin/prometheus-redis-exporter /redis_exporter
USER 10001:10001
