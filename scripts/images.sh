#!/usr/bin/env bash
# Build the two images and write each as an OCI archive, which `ctr images import` takes.
#   scripts/images.sh [FOLDER]         needs buildah
# BASE_IMAGE: what to build from; unset takes the one that the Dockerfiles name.
# REPOSITORY: before the names /agent and /aggregator, its registry included. A kubelet asks containerd
# for whole names only: gamekeeper/agent of the chart means docker.io/gamekeeper/agent.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-dist/images}
repository=${REPOSITORY:-docker.io/gamekeeper}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot}

command -v buildah >/dev/null || {
  echo "images: buildah is missing: install the package buildah" >&2
  exit 2
}
mkdir -p "$folder"
options=(--network host --build-arg "VERSION=$version" --build-arg "REVISION=$revision")
[[ -z ${BASE_IMAGE:-} ]] || options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE" --pull-never)
# How this machine reaches its package index holds in the build, too.
for file in /etc/pip.conf "${PIP_CERT:-}"; do
  [[ -z $file || ! -f $file ]] || options+=(--volume "$file:$file:ro")
done
[[ -z ${PIP_CERT:-} ]] || options+=(--env "PIP_CERT=$PIP_CERT")

for name in agent aggregator; do
  image=$repository/$name:$version
  buildah build "${options[@]}" --quiet --file "Dockerfile.$name" --tag "$image" . >/dev/null
  archive=$folder/$name.tar
  rm -f "$archive"
  buildah push --quiet "$image" "oci-archive:$archive:$image"
  printf '%-42s %6.1f MB as archive %s\n' "$image" "$(stat -c %s "$archive" | awk '{print $1 / 1e6}')" "$archive"
done
