# Caddy of Debian; its own user and configuration are not used.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN export DEBIAN_FRONTEND=noninteractive \
 && apt-get update \
 && apt-get install --yes --no-install-recommends caddy \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
USER 10001:10001
