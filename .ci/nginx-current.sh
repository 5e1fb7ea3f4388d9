#!/usr/bin/env bash
# Unpacks nginx of Debian's testing suite, with the libraries that it is linked to, into the folder given, and writes
# bin/nginx-current there, which starts it. Installs nothing: this system's nginx and libc stay as they are.
set -euo pipefail
to=$1
if [ -x "$to/bin/nginx-current" ]; then
	exit 0
fi
mirror=$(apt-get indextargets --format '$(REPO_URI) $(LABEL)' | awk '$2 == "Debian" { print $1; exit }')
[ -n "$mirror" ] || { echo "nginx-current: apt has no source with the label Debian"; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work"/lists/partial "$work"/cache/archives/partial "$work"/debs
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror testing main" >"$work/sources.list"
options=(-q -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null
	-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root)
apt-get "${options[@]}" update >/dev/null
packages=(nginx libc6 libcrypt1 libpcre2-8-0 libssl3t64 zlib1g libzstd1)
(cd "$work/debs" && apt-get "${options[@]}" download "${packages[@]/%//testing}" >/dev/null)

rm -rf "$to"
mkdir -p "$to/bin"
for deb in "$work"/debs/*.deb; do
	dpkg-deb -x "$deb" "$to"
done
libraries=$to/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo "$(uname -m)-linux-gnu")
loader=$(find "$libraries" -name 'ld-linux*' | head -1)
printf '#!/bin/sh\nexec %q --library-path %q %q "$@"\n' "$loader" "$libraries" "$to/usr/sbin/nginx" >"$to/bin/nginx-current"
chmod 755 "$to/bin/nginx-current"
"$to/bin/nginx-current" -v
