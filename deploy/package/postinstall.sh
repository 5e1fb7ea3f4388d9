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
*) # the new version takes over from the running process, without closing connections
	systemctl is-active --quiet holdfast.service || exit 0
	if [ -r /etc/default/holdfast ]; then # HOLDFAST_TOKEN
		set -a
		. /etc/default/holdfast
		set +a
	fi
	holdfast takeover -config /etc/holdfast/config.yaml ||
		echo "holdfast: the old version still runs; when its clients may reconnect: systemctl restart holdfast" >&2
	;;
esac
