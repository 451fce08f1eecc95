#!/bin/sh
# The tests that start no process, in the debug build: `make quick`, after each edit. The binaries are started here and not by cargo, which would look for
# changes before each of them anew.
set -u
cd "$(dirname "$0")/.." || exit

# What has `damage` in its name tries thousands of broken texts and files.
LONG="--skip damage"

# A fifth of what `make test` does.
export LATHE_RELOADS="${LATHE_RELOADS:-100}"

# CARGO may have arguments, `cargo +nightly`.
built=$(${CARGO:-cargo} test --quiet --no-run --lib --test it --message-format=json-render-diagnostics) || exit
binary() {
    printf '%s\n' "$built" | sed -n 's|.*"executable":"\([^"]*/deps/'"$1"'-[0-9a-f]*\)".*|\1|p'
}
lathe=$(binary lathe) it=$(binary it) core=$(binary lathe_core)
if [ -z "$lathe" ] || [ -z "$it" ] || [ -z "$core" ]; then
    echo "quick: cargo does not say where the binaries of the tests are" >&2
    exit 1
fi

running='' work='' memory=''
finish() {
    # Nothing of theirs is worth saving, and some hold on when they are asked to stop.
    [ -z "$running" ] || kill -s KILL $running 2> /dev/null
    wait
    rm -rf "$work" "$memory"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
out=${it%/deps/*}/quick
mkdir -p "$out" && work=$(mktemp -d "$out/said.XXXXXX") || exit

# Tests make thousands of files that are synced to the disk and thrown away: in memory, where the system has a folder for that with room (they need 80 MB).
if [ -z "${TMPDIR:-}" ] && df -Pk /dev/shm 2> /dev/null | awk 'NR == 2 && $4 > 1000000 { found = 1 } END { exit !found }'; then
    memory=$(mktemp -d /dev/shm/lathe-quick.XXXXXX) && export TMPDIR="$memory"
fi

# A binary that passed passes again, as long as all that it depends on is the same.
passed=$out/core
key=$(echo "$core"; cksum < "$core"; readlink .libtorch; env | grep -E '^(LATHE|LIBTORCH|OMP|MKL|ATEN|ONEDNN|DNNL|RUST)' | LC_ALL=C sort)
needs_core() {
    [ "$(cat "$passed" 2> /dev/null)" = "$key" ] || return 0
    newer=$(find tests/data -newer "$passed") || return 0
    [ -n "$newer" ]
}

# All go on beside each other, each kind in a process of its own: `start FILE COMMAND..`.
start() {
    file=$1
    shift
    "$@" > "$file" 2>&1 &
    running="$running $!"
}
# The tests that cannot share a process are run one by one, in two processes, but for the fixtures of `make parity`, which take a minute.
half=scripts::alone::stdlib::every_test_of_the_standard_library_passes_the_second_half
start_alone() {
    file=$1
    shift
    start "$file" env LATHE_TEST_ALONE=1 "$it" --quiet --test-threads 1 $LONG --skip parity:: "$@"
}
start "$work/1" "$it" --quiet $LONG --skip ::process:: --skip ::alone::
start_alone "$work/2" ::alone:: --skip "$half"
start_alone "$work/3" --exact "$half"
tests_core=
if needs_core; then
    printf '%s\n' "$key" > "$work/key"
    start "$work/4" env -C src/core "$core" --quiet $LONG
    tests_core=$!
else
    echo "src/core: unchanged since its tests passed; they are not run again (make test runs them)" > "$work/4"
fi
"$lathe" --quiet $LONG &
running="$running $!"

failed=0
for process in $running; do
    if ! wait "$process"; then
        failed=1
    elif [ "$process" = "$tests_core" ]; then
        # As old as the start: what changed meanwhile is newer.
        mv "$work/key" "$passed"
    fi
done
running=''
for said in 1 2 3 4; do
    cat "$work/$said"
done
exit $failed
