#!/usr/bin/env bash
# build.sh FILE builds the program as it is released, for GOOS and GOARCH. The same commit gives the same bytes. Version,
# commit and date come from git here, as Go's own stamp needs a folder .git, which a worktree has not.
set -euo pipefail
cd "$(dirname "$0")/.."
. .ci/version.sh
in=holdfast/internal/server
CGO_ENABLED=0 GOFLAGS= go build -buildvcs=false -trimpath -o "$1" -ldflags="-s -w
	-X $in.release=$version -X $in.commit=$(git rev-parse --short=12 HEAD) -X $in.date=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)" .
