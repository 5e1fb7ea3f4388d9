#!/usr/bin/env bash
# package.sh [FOLDER] builds .deb and .rpm for amd64 and arm64 into FOLDER, by default dist. The same commit gives the
# same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."

nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.48.0
out=$(realpath -m "${1:-dist}")
arches=${ARCHES:-amd64 arm64}

. .ci/version.sh
export VERSION=$version
BUILD=$(mktemp -d)
export BUILD ARCH
trap 'rm -rf "$BUILD"' EXIT
mkdir -p "$out"

.ci/build.sh "$BUILD/native/holdfast"
go run .ci/manual.go "$BUILD/native/holdfast" "$BUILD"
GOBIN=$BUILD go install "$nfpm"
for ARCH in $arches; do
	GOOS=linux GOARCH=$ARCH .ci/build.sh "$BUILD/holdfast"
	for format in deb rpm; do
		"$BUILD/nfpm" package --config deploy/nfpm.yaml --packager "$format" --target "$out"
	done
done
