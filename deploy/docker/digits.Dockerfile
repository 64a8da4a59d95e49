# Image of the command line, for work inside a cluster: `digits`, and sh, tar and the few programs
# that `kubectl cp`, backups and scripts need. User 65532.
#
#     docker build --file deploy/docker/digits.Dockerfile --tag digits:0.1.0 .
#     docker run --rm --network host digits:0.1.0 jobs
#
# Provenance labels of a release: --build-arg SOURCE=… --build-arg REVISION="$(git rev-parse HEAD)"
# --build-arg CREATED="$(date --utc +%Y-%m-%dT%H:%M:%SZ)".

ARG RUST=rust:1.95.0-slim-bookworm
# Source of the image's files: a stage, or an image.
ARG FILES=build

FROM ${RUST} AS chef
WORKDIR /build
# rust-toolchain.toml lists components for development; the base image has the compiler.
ENV RUSTUP_TOOLCHAIN=1.95.0
RUN cargo install --locked --version 0.1.73 cargo-chef

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
# Dependencies, in a layer that stays cached until Cargo.lock changes.
COPY --from=plan /build/recipe.json .
RUN cargo chef cook --locked --profile dist --recipe-path recipe.json --package digits-cli
COPY . .
RUN cargo build --locked --profile dist --package digits-cli \
    && deploy/docker/rootfs.sh /image target/dist/digits \
        /bin/sh /bin/tar /bin/cat /bin/cp /bin/date /bin/ls /bin/mkdir /bin/mv /bin/rm /bin/sleep /usr/bin/du \
    && deploy/docker/sbom.sh /image digits-cli

# hadolint ignore=DL3006
FROM ${FILES} AS files

FROM scratch
LABEL org.opencontainers.image.title="digits" \
    org.opencontainers.image.description="Command line of the digits services, for pods and scripts" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"
COPY --from=files /image /
COPY --from=files --chown=65532:65532 /image/var/lib/digits /var/lib/digits
USER 65532:65532
WORKDIR /tmp
ENV PATH=/usr/local/bin
ENTRYPOINT ["/usr/local/bin/digits"]
# Provenance labels come last, so that they invalidate no cached layer.
ARG SOURCE="" REVISION="" CREATED=""
LABEL org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
