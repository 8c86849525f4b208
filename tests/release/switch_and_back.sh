#!/usr/bin/env bash
# A release as a CI job makes it, by the command line: switch to green, load test, switch back, load test.
#
# The job fails if one request fails, and then as well it leaves the route as it was.
# `PROXY` is the address of the proxy, `SWITCHBACK_ADMIN` that of the admin API.
set -euo pipefail
: "${PROXY:?the address of the proxy}" "${SWITCHBACK_ADMIN:?the address of the admin API}"
seconds=${SECONDS_OF_LOAD:-3}
load=("$(dirname "$0")/load.py" "$PROXY")

before=$(switchback route show chat --json)
# Users throughout: no request of theirs may fail in the moment of a switch either.
users=$(mktemp)
"${load[@]}" --seconds "$(awk "BEGIN { print 2 * $seconds + 2 }")" >"$users" &
users_pid=$!

switched=
back() {
    kill "$users_pid" 2>/dev/null || true
    [ -z "$switched" ] || switchback rollback -m "CI: the load test of green has failed"
    rm -f "$users"
}
trap back EXIT

switchback switch chat green --wait 30s -m "CI: green"
switched=yes
"${load[@]}" --release green --seconds "$seconds"

switchback rollback -m "CI: back to blue"
switched=
"${load[@]}" --release blue --seconds "$seconds"

wait "$users_pid" || { cat "$users"; exit 1; }
cat "$users"
after=$(switchback route show chat --json)
split() { python3 -c 'import json, sys; print(json.loads(sys.argv[1])["split"])' "$1"; }
[ "$(split "$before")" = "$(split "$after")" ] || { echo "the split is not what it was: $after"; exit 1; }
echo "switched to green and back: no request failed"
