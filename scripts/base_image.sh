#!/usr/bin/env bash
# Make a base image for the Dockerfiles from Debian packages, for builds without a registry.
#   scripts/base_image.sh [IMAGE]      needs root, debootstrap and buildah
# MIRROR: where Debian packages come from; unset takes debootstrap's own.
set -euo pipefail
image=${1:-localhost/gamekeeper-base:bookworm}
export STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} # works on every file system, in every sandbox
attempts=4

for program in debootstrap buildah; do
  command -v "$program" >/dev/null || {
    echo "base_image: $program is missing: install the package $program" >&2
    exit 2
  }
done
((EUID == 0)) || {
  echo "base_image: only root can unpack Debian packages: run it as root" >&2
  exit 2
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

for ((attempt = 1; ; attempt++)); do
  root=$folder/root
  rm -rf "$root"
  mkdir "$root"
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" \
    ${MIRROR:+"$MIRROR"} >"$folder/log" 2>&1 && break
  tail -n 5 "$folder/log" >&2
  # A package that is half unpacked cannot be gone on with, but a mirror may be back soon.
  ((attempt < attempts)) || exit 1
  echo "base_image: debootstrap failed, attempt $attempt of $attempts" >&2
  sleep $((attempt * 10))
done
rm -rf "$root"/var/cache/apt/archives/*.deb
container=$(buildah from scratch)
buildah add --quiet "$container" "$root" / >/dev/null
buildah commit --quiet --rm "$container" "$image"
