# syntax=docker/dockerfile:1

# One image for the playground and the server, on the CPU and on Vulkan; docs/docker.md explains its use.

FROM rust:1.95-slim-trixie AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    tools/install /out

FROM debian:trixie-slim

# libvulkan1 loads Vulkan drivers. mesa-vulkan-drivers has those of AMD and Intel, and lavapipe, which runs on the CPU.
# NVIDIA's driver comes from the host and needs the two libraries of X11. Without Mesa the image is 400 MB
# smaller: --build-arg PACKAGES="libvulkan1 libx11-6 libxext6".
ARG PACKAGES="libvulkan1 libx11-6 libxext6 mesa-vulkan-drivers"
# Versions are those of the release of Debian.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ${PACKAGES} \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 skiplens \
    && install -d -o skiplens -g skiplens /data /models

COPY --from=build /out/share /usr/local/share
COPY --from=build /out/bin /usr/local/bin

# graphics is what makes NVIDIA's container toolkit mount the Vulkan driver.
ENV LANG=C.UTF-8 \
    HF_HOME=/models \
    SKIPLENS_DATA_DIR=/data \
    XDG_CONFIG_HOME=/data \
    SKIPLENS_HOST=0.0.0.0 \
    NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility

# A number, so that Kubernetes can tell that it is not root.
USER 1000:1000
WORKDIR /data
VOLUME ["/data", "/models"]
EXPOSE 8080

# Only a server has a health; the playground is healthy as long as it runs.
HEALTHCHECK --start-period=60s \
    CMD ["sh", "-c", "! grep -qzx serve /proc/1/cmdline || skiplens health"]
ENTRYPOINT ["skiplens"]
