# Image of digits-trainer: launcher, engine, and only those libraries of libtorch that the engine
# links. No Python, no shell; user 65532.
#
#     docker build --file deploy/docker/trainer.Dockerfile --tag digits-trainer:0.1.0 .
#     docker build --file deploy/docker/trainer.Dockerfile --build-arg TORCH=cuda --tag digits-trainer:0.1.0-cuda .
#
# Provenance labels of a release: --build-arg SOURCE=… --build-arg REVISION="$(git rev-parse HEAD)"
# --build-arg CREATED="$(date --utc +%Y-%m-%dT%H:%M:%SZ)".
#
# PyTorch's wheel contains CUDA, so the base image needs none; the node provides the driver.

ARG RUST=rust:1.95.0-slim-bookworm
# Source of the image's files: a stage, or an image.
ARG FILES=build

FROM ${RUST} AS chef
WORKDIR /build
ENV RUSTUP_TOOLCHAIN=1.95.0
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates g++ make python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN cargo install --locked --version 0.1.73 cargo-chef

FROM chef AS plan
COPY . .
RUN cargo chef prepare --recipe-path recipe.json

FROM chef AS build
# libtorch first, because it changes least. TORCH is cpu, cuda or auto; auto takes the CUDA build if
# PyTorch's index of CPU wheels cannot be reached.
ARG TORCH=cpu
ENV DIGITS_CACHE=/opt/digits
COPY Makefile ./
COPY trainer/libtorch.sh trainer/
RUN DIGITS_TORCH=${TORCH} make libtorch
ENV LIBTORCH_USE_PYTORCH=1 PATH=/opt/digits/torch-2.11.0/bin:${PATH}
# Dependencies, in a layer that stays cached until Cargo.lock changes.
COPY --from=plan /build/recipe.json .
RUN cargo chef cook --locked --release --recipe-path recipe.json --package digits-trainer
COPY . .
RUN cargo build --locked --release --package digits-trainer \
    && deploy/docker/rootfs.sh /image target/release/digits-trainer target/release/digits-trainer-engine \
    && deploy/docker/sbom.sh /image digits-trainer

# hadolint ignore=DL3006
FROM ${FILES} AS files

FROM scratch
LABEL org.opencontainers.image.title="digits-trainer" \
    org.opencontainers.image.description="Trains handwritten digit classifiers with libtorch and publishes checkpoints" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=files /image /
COPY --from=files --chown=65532:65532 /image/var/lib/digits /var/lib/digits
USER 65532:65532
ENV DIGITS_LISTEN=[::]:50051 DIGITS_ADMIN_LISTEN=[::]:9051 NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
EXPOSE 50051 9051
HEALTHCHECK --interval=5s --timeout=5s CMD ["/usr/local/bin/digits-trainer", "health"]
ENTRYPOINT ["/usr/local/bin/digits-trainer"]
# Provenance labels come last, so that they invalidate no cached layer.
ARG SOURCE="" REVISION="" CREATED=""
LABEL org.opencontainers.image.source="${SOURCE}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
