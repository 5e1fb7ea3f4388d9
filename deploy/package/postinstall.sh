#!/bin/sh
# After the files are there: Debian calls this with "configure" and the old version, RPM with the number of versions. An
# error here leaves the package half installed, so only one without which nothing works is an error, and it says which.

warn() { echo "holdfast: $*" >&2; }
config=/etc/holdfast/config.yaml

# dpkg --root runs it outside of the new root: nothing of this machine is meant then.
[ -z "${DPKG_ROOT:-}" ] || exit 0

if ! getent group holdfast >/dev/null && ! groupadd --system holdfast; then
	warn "the group holdfast can't be created; create it, and install the package again"
	exit 1
fi
if ! getent passwd holdfast >/dev/null &&
	! useradd --system --gid holdfast --home-dir /var/lib/holdfast --no-create-home --shell /usr/sbin/nologin holdfast; then
	warn "the user holdfast can't be created; create it, and install the package again"
	exit 1
fi
# It may have secrets, so it is for root and this group. An administrator may have removed it, or given it another group.
if [ -e $config ] && [ "$(stat -L -c %G $config)" = root ] && ! chgrp holdfast $config; then
	warn "let the group holdfast read $config: chgrp failed"
fi

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || warn "before the next start, run: systemctl daemon-reload"
hint="write $config, then: systemctl enable --now holdfast"
case "${1:-}:${2:-}" in
configure: | 1:*) # new: it starts when there is a configuration
	echo "holdfast: $hint"
	;;
configure:* | [2-9]:*)
	if systemctl is-active --quiet holdfast.service; then
		# The new version takes over from the running process, without closing connections. The configuration has the
		# address and the token of its API; /etc/default/holdfast is systemd's, not shell.
		unset HOLDFAST_TOKEN
		/usr/bin/holdfast takeover -config $config ||
			warn "the old version still runs; when its clients may reconnect: systemctl restart holdfast"
	elif ! systemctl is-enabled --quiet holdfast.service; then # Debian: removed in between
		echo "holdfast: $hint"
	fi
	;;
esac
exit 0
