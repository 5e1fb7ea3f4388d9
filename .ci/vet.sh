#!/usr/bin/env bash
# vet.sh [NAME…] runs the static checks with these names, or all of them.
set -uo pipefail
cd "$(dirname "$0")/.."

staticcheck=honnef.co/go/tools/cmd/staticcheck@v0.8.2

check() {
	case $1 in
	linux) GOOS=linux go vet ./... ;;
	windows) GOOS=windows go vet ./... ;;
	darwin) GOOS=darwin go vet ./... ;;
	park_plain) go vet -tags park_plain ./... ;; # the portable half of internal/park, on Linux
	e2e) go vet -tags 'e2e steps' ./internal/e2e/... ./internal/fcgi/... ./internal/tlsconn/... ;;
	ci) go vet ./.ci/summary.go && go vet ./.ci/manual.go && go vet ./.ci/archive.go ;;
	bench) (cd bench && go vet ./... && test -z "$(gofmt -l .)") ;; # its own module
	staticcheck)
		go run "$staticcheck" -tags e2e ./... &&
			go run "$staticcheck" -tags park_plain ./... &&
			go run "$staticcheck" ./.ci/summary.go &&
			go run "$staticcheck" ./.ci/manual.go &&
			go run "$staticcheck" ./.ci/archive.go
		;;
	*)
		echo "vet.sh: no check is named $1" >&2
		return 2
		;;
	esac
}

if [ $# -eq 0 ]; then
	set -- linux windows darwin park_plain e2e ci bench staticcheck
fi
failed=0
for name; do
	check "$name" || failed=1
done
exit "$failed"
