#!/usr/bin/env bash
# fmt.sh fails with the names of the files that gofmt would change; fmt.sh -w changes them.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = -w ]; then
	exec gofmt -l -w .
fi
unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "not formatted (make fmt repairs it):"
	echo "$unformatted"
	exit 1
fi
