# Two images from one file: `--target operator` and `--target broker`.
#
# Where the base image cannot be pulled, build the programs with `.ci/static DIR/out` and put that folder
# in the place of the build stage: `--build-context build=DIR` (docker buildx and buildah both know it).
ARG RUST_VERSION=1.95

FROM docker.io/library/rust:${RUST_VERSION}-slim-trixie AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev make
WORKDIR /source
COPY . .
ARG PROFILE=dist
RUN PROFILE=${PROFILE} .ci/static /out

FROM scratch AS operator
COPY --from=build /out/milena-operator /milena-operator
# A number, so that the kubelet can check runAsNonRoot.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/milena-operator"]

FROM scratch AS broker
COPY --from=build /out/milena-broker /milena-broker
USER 65532:65532
EXPOSE 9092 9404
ENTRYPOINT ["/milena-broker"]
