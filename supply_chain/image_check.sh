#!/bin/sh
# Builds the image by buildah, without a daemon, and looks into it (`make image-check`). As root.
# BUILD_ARGUMENTS: more words for `buildah build`, such as --build-arg PYTHON_IMAGE=...
set -eu
if ! command -v buildah > /dev/null || [ "$(id -u)" != 0 ]; then
    echo 'image-check: skipped, it needs buildah and root'
    exit 0
fi
# shellcheck disable=SC2086 # they are words
buildah build --isolation chroot --format docker --layers ${BUILD_ARGUMENTS:-} \
    --file infra/Dockerfile --tag localhost/nocturne:check .
container=$(buildah from --pull-never localhost/nocturne:check)
trap 'buildah rm "$container" > /dev/null' EXIT
buildah run --isolation chroot "$container" -- python - < supply_chain/image_check.py
buildah run --isolation chroot "$container" -- nocturne --version
