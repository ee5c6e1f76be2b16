# An instance of CloudNativePG: Debian's PostgreSQL, whose user has the number 26 as in its images.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
USER 0
RUN sed -i '/^postgres:/d' /etc/passwd /etc/group \
 && echo 'postgres:x:26:26:PostgreSQL:/var/lib/postgresql:/bin/sh' >> /etc/passwd \
 && echo 'postgres:x:26:' >> /etc/group
USER 26:26
