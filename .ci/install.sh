#!/usr/bin/env bash
# Installs the Debian packages that the tests start: real apps to stand in front of, a browser to
# look at the demo, and the C linker that the race detector wants. Does nothing if all are there.
set -euo pipefail

packages=(
	ca-certificates curl gcc libc6-dev
	tomcat10 tomcat10-examples
	apache2 libapache2-mod-php php-fpm dokuwiki nginx-light
	python3-django gunicorn litmus git tomcat10-admin mediawiki php-sqlite3 php-cli
	wordpress mariadb-server php-mysql libjs-jquery libjs-prototype
	slowhttptest chromium chromium-driver fonts-dejavu-core
	haproxy logrotate zstd openssl gnutls-bin default-jdk-headless systemd rpm
	wine64
	prometheus python3-prometheus-client
)

missing=()
for package in "${packages[@]}"; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
echo "installing: ${missing[*]}"

# Each test starts its own Apache and Tomcat on its own port; the machine's stay down.
guard=/usr/sbin/policy-rc.d
if [ ! -e "$guard" ]; then
	trap 'rm -f "$guard"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$guard"
	chmod 755 "$guard"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
