#!/usr/bin/env bash
# release.sh [FOLDER] builds everything that is published into FOLDER, by default dist: archives for Linux, macOS and
# Windows, packages, for each archive a bill of materials in CycloneDX, and SHA256SUMS. The same commit gives the same bytes.
# TARGETS has other systems than all six, for a test.
set -euo pipefail
cd "$(dirname "$0")/.."

cyclonedx=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
out=$(realpath -m "${1:-dist}")

[ -z "$(git status --porcelain)" ] || { echo "release.sh: there are changes that are not committed" >&2; exit 1; }
. .ci/version.sh
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
rm -rf "$out"
mkdir -p "$out"

.ci/package.sh "$out"
.ci/build.sh "$build/native/holdfast"
mkdir "$build/manual"
go run .ci/manual.go "$build/native/holdfast" "$build/manual"
GOBIN=$build go install "$cyclonedx"
for target in ${TARGETS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}; do
	os=${target%/*} arch=${target#*/}
	name=holdfast-${version//\~/-}-$os-$arch
	dir=$build/$name
	mkdir -p "$dir"
	program=$dir/holdfast suffix=.tar.gz
	[ "$os" != windows ] || program=$dir/holdfast.exe suffix=.zip
	GOOS=$os GOARCH=$arch .ci/build.sh "$program"
	cp LICENSE README.md CHANGELOG.md config.yaml docs/reference/configuration.md "$dir"
	case $os in
	linux) cp "$build"/manual/* deploy/systemd/holdfast.service deploy/logrotate deploy/sysctl.conf "$dir" ;;
	darwin) cp "$build"/manual/* deploy/launchd/holdfast.plist "$dir" ;;
	esac
	"$build/cyclonedx-gomod" bin -json -noserial -notimestamp -std -version "$version" -output "$out/$name.cdx.json" "$program"
	go run .ci/archive.go "$out/$name$suffix" "$dir"
done
cd "$out"
sha256sum -- *.deb *.rpm *.tar.gz *.zip *.json >SHA256SUMS
