#!/bin/bash
# What an operator does with the package, on a Debian that was booted for it: install, use, kill, upgrade, disable, remove, purge.
# Run by `cargo xtask deb --walk` inside a container; /walk holds the package and a node's program.
set -euo pipefail
unit=parlor-bootstrap.service
deb=$(echo /walk/*.deb)
home=$(mktemp -d)

say() { echo "walk: $*"; }
fail() { echo "walk: FAILED: $*"; systemctl status $unit || true; journalctl --no-pager -u $unit | tail -40; exit 1; }
eventually() { for _ in $(seq 100); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.2; done; fail "not within 20 s: $*"; }
healthy() { curl -fsS http://127.0.0.1:4002/health; }
is() { [ "$(systemctl "$1" $unit 2>/dev/null || true)" = "$2" ]; }
want() { is "$1" "$2" || fail "$1 is $(systemctl "$1" $unit || true), not $2"; }
address() { PARLOR_BOOTSTRAP_DATA=/var/lib/parlor-bootstrap parlor-bootstrap address | head -1; }
node() { /walk/parlor --home "$home"/node "$@"; }

say "installed, it runs and starts at boot"
dpkg -i "$deb"
want is-active active
want is-enabled enabled
eventually healthy
[ "$(ps -o user= -p "$(systemctl show -p MainPID --value $unit)")" != root ] || fail "it runs as root"
relay=$(address)
say "its address is $relay"

say "a node claims a name there, through the sandbox of the unit"
node init --name Alice >/dev/null
node run --relay "$relay" >"$home"/node.log 2>&1 &
eventually node name claim alice --relay "$relay"
who=@alice@$(sed 's,.*/,,' <<<"$relay")
node name lookup "$who"

say "killed, it comes back with what it acknowledged"
old=$(systemctl show -p MainPID --value $unit)
systemctl kill -s KILL $unit
eventually healthy
[ "$(systemctl show -p MainPID --value $unit)" != "$old" ] || fail "it was not killed"
eventually node name lookup "$who"

say "an upgrade restarts what runs, and leaves alone what was disabled"
old=$(systemctl show -p MainPID --value $unit)
dpkg -i "$deb"
want is-active active
[ "$(systemctl show -p MainPID --value $unit)" != "$old" ] || fail "an upgrade did not restart it"
systemctl disable --now $unit
dpkg -i "$deb"
want is-active inactive
want is-enabled disabled

say "removed and installed again it is as it was: disabled, then enabled, with the same key"
dpkg -r parlor-bootstrap
dpkg -i "$deb"
want is-enabled disabled
systemctl enable --now $unit
eventually healthy
key=$(address | sed 's,.*/,,')
dpkg -r parlor-bootstrap
[ ! -e /usr/bin/parlor-bootstrap ] || fail "the program is still there"
! healthy 2>/dev/null || fail "it still runs"
dpkg -i "$deb"
want is-active active
want is-enabled enabled
eventually healthy
[ "$(address | sed 's,.*/,,')" = "$key" ] || fail "it has another key"

say "a wrong line in the settings is told, and mended by taking it back"
echo 'conections = 5' >>/etc/parlor-bootstrap/config.toml
systemctl restart $unit || true
eventually is is-failed failed
eventually sh -c "journalctl --no-pager -u $unit | grep -q conections"
sed -i '$d' /etc/parlor-bootstrap/config.toml
systemctl restart $unit
eventually healthy

say "purged, settings and unit are gone and mail is not"
dpkg -P parlor-bootstrap
[ ! -e /etc/parlor-bootstrap/config.toml ] || fail "the settings are still there"
[ -e /var/lib/private/parlor-bootstrap ] || fail "the data is gone"
say "all well"
