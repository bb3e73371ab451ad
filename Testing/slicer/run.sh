#!/usr/bin/env bash
# Runs the scenarios of Testing/panel inside a real Slicer, from this checkout, each in an application of its own.
#
#   run.sh PATH_TO_SLICER [NAME...]     NAME is that of a file, Testing/panel/scenario_NAME.py; all without one
#
# TIME_LIMIT is the longest time for a scenario in seconds (600). Exits with 0 only if every scenario passed.
set -euo pipefail

if (($# == 0)); then
    echo "usage: $0 PATH_TO_SLICER [NAME...]" >&2
    exit 2
fi
if [[ $(uname) == Linux && -z ${DISPLAY:-} ]]; then
    if ! command -v xvfb-run > /dev/null; then
        echo "There is no display. Set DISPLAY, or install xvfb." >&2
        exit 2
    fi
    exec xvfb-run --auto-servernum --server-args "-screen 0 1600x1200x24" "$0" "$@"
fi

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
slicer=$1
shift
limit=${TIME_LIMIT:-600}
logs=$(mktemp -d)
running=

# A scenario's processes are one group, so that a stopped application leaves none behind.
set -m
stop() {
    if [[ -n $running ]] && kill -TERM -- "-$running" 2> /dev/null; then
        sleep 2
        kill -KILL -- "-$running" 2> /dev/null || true
        wait "$running" 2> /dev/null || true
    fi
    running=
}
trap 'stop; rm -rf "$logs"' EXIT
trap 'exit 130' INT TERM

# Runs scenario $1; its output goes to the file $2.
scenario() {
    local begin=$SECONDS status=0
    "$slicer" --testing --no-splash --additional-module-paths "$root/VQBEGAL" \
        --python-script "$here/run.py" "scenario_$1" < /dev/null > "$2" 2>&1 &
    running=$!
    while kill -0 "$running" 2> /dev/null; do
        if ((SECONDS - begin >= limit)); then
            echo "Stopped: the scenario took longer than $limit s." >> "$2"
            stop
            return 124
        fi
        sleep 1
    done
    wait "$running" || status=$?
    stop
    return "$status"
}

names=()
for name in "$@"; do
    name=$(basename "$name" .py)
    names+=("${name#scenario_}")
done
if ((${#names[@]} == 0)); then
    for file in "$root"/Testing/panel/scenario_*.py; do
        name=$(basename "$file" .py)
        names+=("${name#scenario_}")
    done
fi

summary=()
failed=0
for name in "${names[@]}"; do
    echo "== $name"
    begin=$SECONDS
    status=0
    scenario "$name" "$logs/$name.txt" || status=$?
    if ((status == 0)); then
        grep -E '\.\.\. (ok|skipped)' "$logs/$name.txt" || true
        summary+=("passed  $name ($((SECONDS - begin)) s)")
    else
        cat "$logs/$name.txt"
        summary+=("FAILED  $name ($((SECONDS - begin)) s, exit code $status)")
        failed=1
    fi
done

echo "== summary"
printf '%s\n' "${summary[@]}"
exit "$failed"
