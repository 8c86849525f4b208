#!/usr/bin/env bash
# A release from a CI job, where several proxies share the users and each has a table and a judge of its own: register it
# at each, start a rollout at each, and follow all of them. If one does not succeed, the release is taken back everywhere.
#
#   kubernetes.sh ROUTE RELEASE VERSION ENDPOINT…
#
# NAMESPACE is that of the proxies, PODS are their names. PLAN names a plan of the configuration file.
# The reports for the CI server are rollout-POD.xml.
#
# Exit status: 0 if the release has the users of every proxy; otherwise that of the first rollout that did not succeed: 83
# if its proxy took the release back, 84 if it was aborted, 85 if somebody else has changed the route meanwhile, 75 if it
# has not ended WITHIN two hours.
set -euo pipefail
: "${PODS:=switchback-0 switchback-1}"
[ $# -ge 4 ] || { echo "usage: $0 ROUTE RELEASE VERSION ENDPOINT…" >&2; exit 64; }
route=$1 release=$2 version=$3
shift 3
note="${CI_JOB_URL:-${BUILD_URL:-$0}}: $release $version"

at() { # pod, arguments of switchback…
    local pod=$1
    shift
    kubectl ${NAMESPACE:+-n "$NAMESPACE"} exec "$pod" -c switchback -- switchback "$@"
}
# A connection to a pod may break, and a pod may begin anew with its rollout: neither is an end of the rollout.
follow() { # pod, rollout
    local status=1 tries
    for tries in {1..30}; do
        status=0
        at "$1" rollout watch "$2" --exit-code --within "${WITHIN:-2h}" || status=$?
        case $status in 0 | 75 | 83 | 84 | 85) break ;; esac
        echo "$1: cannot be followed (exit status $status, $tries of 30)" >&2
        sleep 2
    done
    return "$status"
}

# There is no place for a file in a pod, so each proxy is asked once more, at the end and whatever that is.
declare -A started_at
report() {
    local pod
    for pod in "${!started_at[@]}"; do
        # A rollout that goes on has a report too, and the status that says so.
        at "$pod" rollout watch "${started_at[$pod]}" --junit - --within 1ms >"rollout-$pod.xml" || true
        [ -s "rollout-$pod.xml" ] || { rm -f "rollout-$pod.xml"; echo "$pod: there is no report" >&2; }
    done
}
trap report EXIT

for pod in $PODS; do
    rm -f "rollout-$pod.xml"
    at "$pod" release set "$release" --version "$version" "${@/#/--endpoint=}" -m "$note"
done

declare -A rollouts stable
back() { # reason
    local pod
    for pod in "${!rollouts[@]}"; do
        at "$pod" rollout abort "${rollouts[$pod]}" -m "$1" && continue
        # It has ended meanwhile: with the release at the users, or without it, and then this changes nothing.
        at "$pod" switch "$route" "${stable[$pod]}" -m "$1" || echo "$pod: $release could not be taken back" >&2
    done
}
cancelled() {
    back "the CI job was cancelled"
    exit 143
}

# A job that is cancelled amid the starts has to know all that it began: so they go on, and it is acted on after them.
start() { # pod: prints the rollout, and the release that it starts from
    trap '' INT TERM
    at "$1" rollout start "$route" "$release" ${PLAN:+--plan "$PLAN"} -m "$note" --json |
        python3 -c 'import json, sys; text = sys.stdin.read(); said = text and json.loads(text); print(*(said and (said["id"], said["from"])))'
}
trap 'is_cancelled=yes' INT TERM
for pod in $PODS; do
    started=$(start "$pod") || {
        status=$?
        back "$pod has not begun"
        exit "$status"
    }
    rollouts[$pod]=${started% *} stable[$pod]=${started#* }
    started_at[$pod]=${rollouts[$pod]}
done
trap cancelled INT TERM
[ -z "${is_cancelled:-}" ] || cancelled

declare -A watches
for pod in $PODS; do
    follow "$pod" "${rollouts[$pod]}" &
    watches[$!]=$pod
done
while [ ${#watches[@]} -gt 0 ]; do
    status=0
    wait -n -p ended "${!watches[@]}" || status=$?
    pod=${watches[$ended]}
    unset "watches[$ended]"
    [ "$status" != 0 ] || continue
    # Where it has ended already, by its proxy or by somebody, there is nothing to take back.
    [ "$status" = 75 ] || unset "rollouts[$pod]"
    back "the rollout at $pod ended with $status"
    exit "$status"
done
