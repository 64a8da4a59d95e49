# Image of digits-inference: the program, glibc's few libraries, root certificates. No shell; user
# 65532.
#
#     docker build --file deploy/docker/inference.Dockerfile --tag digits-inference:0.1.0 .
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
# nasm assembles the SIMD code of libjpeg-turbo, which is compiled without it otherwise.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nasm \
    && rm -rf /var/lib/apt/lists/*
# Dependencies, in a layer that stays cached until Cargo.lock changes.
COPY --from=plan /build/recipe.json .
RUN cargo chef cook --locked --profile dist --recipe-path recipe.json --package digits-inference
COPY . .
RUN cargo build --locked --profile dist --package digits-inference \
    && deploy/docker/rootfs.sh /image target/dist/digits-inference \
    && deploy/docker/sbom.sh /image digits-inference

# hadolint ignore=DL3006
FROM ${FILES} AS files

FROM scratch
LABEL org.opencontainers.image.title="digits-inference" \
    org.opencontainers.image.description="Classifies handwritten digits over gRPC with the newest checkpoint on shared storage" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=files /image /
COPY --from=files --chown=65532:65532 /image/var/lib/digits /var/lib/digits
USER 65532:65532
ENV DIGITS_LISTEN=[::]:50052 DIGITS_ADMIN_LISTEN=[::]:9052
EXPOSE 50052 9052
HEALTHCHECK --interval=5s --timeout=5s CMD ["/usr/local/bin/digits-inference", "health"]
ENTRYPOINT ["/usr/local/bin/digits-inference"]
# Provenance labels come last, so that they invalidate no cached layer.
ARG SOURCE="" REVISION="" CREATED=""
LABEL org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
