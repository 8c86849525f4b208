#!/usr/bin/env bash
# A release from a CI job: register it, test it where no user is, let switchback give it the users step by step, and
# end with what came of it.
#
#   release.sh ROUTE RELEASE VERSION ENDPOINT…
#
# SWITCHBACK_ADMIN is the address of the admin API, SWITCHBACK_TOKEN_FILE the file with its token, if it wants one.
# PROXY is the address at which users reach the route. PLAN names a plan of the configuration file, PLAN_FILE a file with
# one in JSON; without them the default one is taken. SMOKE is the command that tests the preview; its requests need the field in $PREVIEW.
# The report for the CI server is rollout.xml.
#
# Exit status: 0 if the release has the users; 83 if it was taken back, 84 if the rollout was aborted, 85 if somebody
# else has changed the route meanwhile; 75 if it has not ended WITHIN two hours; what the smoke test says if that fails.
set -euo pipefail
: "${SWITCHBACK_ADMIN:?the address of the admin API}" "${PROXY:?the address of the proxy}"
[ $# -ge 4 ] || { echo "usage: $0 ROUTE RELEASE VERSION ENDPOINT…" >&2; exit 64; }
route=$1 release=$2 version=$3
shift 3
note="${CI_JOB_URL:-${BUILD_URL:-$0}}: $release $version"

switchback release set "$release" --version "$version" "${@/#/--endpoint=}" -m "$note"

# No user gets it yet: a request reaches it with this field only, and counts in no statistics.
PREVIEW="x-switchback-release: $(switchback preview "$route" "$release" --for 10m | head -1)"
export PREVIEW
if [ -n "${SMOKE:-}" ]; then
    sh -c "$SMOKE"
else
    curl -fsS --retry 10 --retry-delay 1 --retry-all-errors -H "$PREVIEW" "$PROXY" >/dev/null
fi

# A job that is cancelled leaves no half-released version behind: from the start on it is noted, and then acted on.
trap 'is_cancelled=yes' INT TERM
started=$(switchback rollout start "$route" "$release" ${PLAN:+--plan "$PLAN"} ${PLAN_FILE:+--plan-file "$PLAN_FILE"} -m "$note" --json)
id=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["id"])' <<<"$started")
cancelled() {
    switchback rollout abort "$id" -m "the CI job was cancelled"
    exit 143
}
trap cancelled INT TERM
[ -z "${is_cancelled:-}" ] || cancelled
switchback rollout watch "$id" --exit-code --junit rollout.xml --within "${WITHIN:-2h}" &
wait $!
