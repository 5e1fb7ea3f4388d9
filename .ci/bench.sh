#!/usr/bin/env bash
# Installs the peers (Debian packages, as root; the others are Go modules of pinned versions), then runs the
# benchmark with the arguments given: .ci/bench.sh -quick, .ci/bench.sh -only idle -peers holdfast,nginx
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(nginx haproxy libnginx-mod-nchan varnish)

missing=()
for package in "${packages[@]}"; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
	echo "installing: ${missing[*]}"
	# The benchmark starts its own on its own ports; the machine's stay down.
	guard=/usr/sbin/policy-rc.d
	if [ ! -e "$guard" ]; then
		trap 'rm -f "$guard"' EXIT
		printf '#!/bin/sh\nexit 101\n' >"$guard"
		chmod 755 "$guard"
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

# A current nginx beside Debian's, where Debian's testing suite can be had.
current=$PWD/.ci/peers/nginx
if .ci/nginx-current.sh "$current"; then
	export PATH="$PATH:$current/bin"
else
	echo "no current nginx: the peer \"nginx current\" is left out" >&2
fi

ulimit -n "$(ulimit -Hn)" # 19,000 connections, in the server and in the load generator
cd bench
go run . "$@"
