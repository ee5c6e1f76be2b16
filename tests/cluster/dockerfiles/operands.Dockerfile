# PostgreSQL, Redis, Valkey and nginx of Debian in one image with four names.
#
# The image guarantees only the operand contract: binaries on the PATH, a POSIX shell, any numeric
# user, a read-only root file system. Official images keep the same contract.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN export DEBIAN_FRONTEND=noninteractive \
 && mkdir -p /etc/postgresql-common \
 && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && apt-get install --yes --no-install-recommends \
        postgresql-18 postgresql-18-hypopg libnss-wrapper redis-server valkey-server \
        nginx libnginx-mod-http-js \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb \
 && chmod -R a+rX /etc/redis /etc/valkey /etc/nginx
ENV PATH=/usr/lib/postgresql/18/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 10001:10001
