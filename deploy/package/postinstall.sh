#!/bin/sh
# After the files are there: Debian calls this with "configure" and the old version, RPM with the number of versions.
set -e

# dpkg --root runs it outside of the new root: nothing of this machine is meant then.
[ -z "${DPKG_ROOT:-}" ] || exit 0

if ! getent group holdfast >/dev/null; then
	groupadd --system holdfast
fi
if ! getent passwd holdfast >/dev/null; then
	useradd --system --gid holdfast --home-dir /var/lib/holdfast --no-create-home --shell /usr/sbin/nologin holdfast
fi
chgrp holdfast /etc/holdfast/config.yaml # it may have secrets

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
case "$1:${2:-}" in
configure: | 1:*) # new: it starts when there is a configuration
	echo "holdfast: write /etc/holdfast/config.yaml, then: systemctl enable --now holdfast"
	;;
*) systemctl try-restart holdfast.service ;;
esac
