#!/bin/sh
# Builds or runs one target of the Dockerfile with docker, podman or buildah, whichever is there.
#
#   sh tests/container/image.sh build TARGET IMAGE
#   sh tests/container/image.sh test IMAGE
#
# BUILD_OPTIONS and RUN_OPTIONS are handed on, split at spaces.
set -eu

what=$1
# The first that answers: a docker client without an engine is passed over.
first() {
    for name in "$@"; do
        if "$name" info > /dev/null 2>&1; then echo "$name"; return; fi
    done
}

check_digest() {
    if ! printf '%s\n' "${BASE_DIGEST:-}" | grep -Eqx 'sha256:[0-9a-f]{64}'; then
        echo "BASE_DIGEST=${BASE_DIGEST:-} must be sha256: and 64 digits: the base image is" \
            "pinned by digest. docs/images.md says how to read it from your registry." >&2
        exit 64
    fi
}

if [ "$what" = build ]; then
    check_digest
    tool=${CONTAINER_TOOL:-$(first docker podman buildah)}
    [ -n "$tool" ] || { echo "no docker, podman or buildah here: install one" >&2; exit 69; }
    revision=${REVISION:-$(git rev-parse HEAD 2> /dev/null || echo unknown)}
    export DOCKER_BUILDKIT=1 # docker before 23 knows no RUN --mount without it
    # shellcheck disable=SC2086 # several options
    exec "$tool" build ${BUILD_OPTIONS:-} --target "$2" --tag "$3" \
        --build-arg "BASE_DIGEST=$BASE_DIGEST" \
        --build-arg "VERSION=${VERSION:-unknown}" \
        --build-arg "REVISION=$revision" \
        --build-arg "SOURCE=${SOURCE:-unknown}" \
        .
fi

tool=${CONTAINER_TOOL:-$(first docker podman)}
[ -n "$tool" ] || { echo "no docker or podman here to run $2" >&2; exit 69; }
# shellcheck disable=SC2086 # several options
exec "$tool" run ${RUN_OPTIONS:-} --rm --network=none --read-only --tmpfs /tmp \
    --user 54321:54321 --cap-drop=all --security-opt=no-new-privileges "$2"
