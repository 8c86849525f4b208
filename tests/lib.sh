# shellcheck shell=bash
# Reports of .ci/run and tests/run: one line for each part, the log of a part only if it failed, a count at the end.
# Sourced from the root of the repository.

passed=0
failed=0
logs=target/logs
mkdir -p "$logs"
export CARGO_TERM_COLOR=never

report() { # name, seconds, result
    printf '%-12s %5ds  %s\n' "$1" "$2" "$3"
}

show() { # name: the end of its log
    echo "---- $1: the last lines of $logs/$1.log"
    tail -n 120 "$logs/$1.log"
    echo "----"
}

# step NAME SECONDS COMMAND…: one check that passes or fails as a whole.
step() {
    local name=$1 limit=$2 start=$SECONDS status=0
    shift 2
    timeout --kill-after=10 "$limit" "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        report "$name" $((SECONDS - start)) ok
    else
        failed=$((failed + 1))
        report "$name" $((SECONDS - start)) "FAILED (exit status $status)"
        show "$name"
    fi
}

# Reads a log and prints `N passed, N failed`: the sum over Rust's test binaries, or the last closing line of a suite.
tally() {
    awk '
        /^test result: / {
            for (i = 1; i < NF; i++) {
                if ($(i + 1) ~ /^passed;/) p += $i
                if ($(i + 1) ~ /^failed;/) f += $i
            }
            rust = 1
        }
        /^[0-9]+ passed, [0-9]+ failed$/ { lp = $1; lf = $3; line = 1 }
        END {
            if (rust) print p + 0 " passed, " f + 0 " failed"
            else if (line) print lp " passed, " lf " failed"
        }' "$1"
}

# suite NAME SECONDS COMMAND…: many checks, counted by the suite. A suite that counts nothing has failed.
suite() {
    local name=$1 limit=$2 start=$SECONDS status=0 said p f
    shift 2
    if ! command -v "$1" >/dev/null; then
        failed=$((failed + 1))
        report "$name" 0 "FAILED: $1 is missing or not executable"
        return
    fi
    timeout --kill-after=10 "$limit" "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
    said=$(tally "$logs/$name.log")
    read -r p _ f _ <<<"${said:-0 passed, 0 failed}"
    if [ "$status" != 0 ] && [ "$f" = 0 ]; then f=1; fi
    if [ "$status" = 0 ] && [ "$p" = 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p))
    failed=$((failed + f))
    if [ "$f" = 0 ]; then
        report "$name" $((SECONDS - start)) "$p passed"
    else
        report "$name" $((SECONDS - start)) "$p passed, $f FAILED (exit status $status)"
        show "$name"
    fi
}

# side_by_side LANE…: functions that run suites one after the other, each beside the others.
side_by_side() {
    local lane p f
    for lane in "$@"; do
        rm -f "$logs/$lane.count"
        (
            passed=0 failed=0
            "$lane"
            echo "$passed $failed" >"$logs/$lane.count"
        ) &
    done
    wait
    for lane in "$@"; do
        # A lane that did not come to its end has failed.
        read -r p f 2>/dev/null <"$logs/$lane.count" || { p=0 f=1; report "$lane" 0 "FAILED: it has ended early"; }
        passed=$((passed + p))
        failed=$((failed + f))
    done
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
