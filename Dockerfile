# Conclave on ordinary base images: built in Rust's, run in Debian's.
#
#   docker build -t conclave:debian .
#
# An image that is smaller, and needs no base image: docker/Dockerfile.static, built by scripts/docker-image.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package conclave && mkdir /home-of-conclave

FROM debian:bookworm-slim
COPY --from=build /source/target/release/conclave /usr/local/bin/conclave
# The folder is there so that a volume mounted on it belongs to the user below.
COPY --from=build --chown=65532:65532 /home-of-conclave/ /var/lib/conclave/
ENV CONCLAVE_HOME=/var/lib/conclave
VOLUME /var/lib/conclave
# The same number as in the static image, so that either can use the other's volumes.
USER 65532:65532
EXPOSE 7700/tcp 7700/udp
# Whether the node answers.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/conclave", "status"]
ENTRYPOINT ["/usr/local/bin/conclave"]
CMD ["run"]
