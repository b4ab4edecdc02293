#!/usr/bin/env bash
# Make a base image for the Dockerfiles from Debian packages, for builds without a registry.
#   scripts/base_image.sh [IMAGE]      needs root, debootstrap and buildah
set -euo pipefail
image=${1:-localhost/gamekeeper-base:bookworm}
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} # works on every file system, in every sandbox

for program in debootstrap buildah; do
  command -v "$program" >/dev/null || {
    echo "base_image: $program is missing: install the package $program" >&2
    exit 2
  }
done
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" >"$root.log" 2>&1 || {
  tail -n 5 "$root.log" >&2
  exit 1
}
rm -rf "$root.log" "$root"/var/cache/apt/archives/*.deb
container=$(buildah from scratch)
buildah add --quiet "$container" "$root" / >/dev/null
buildah commit --quiet --rm "$container" "$image"
