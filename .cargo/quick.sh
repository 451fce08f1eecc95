#!/bin/sh
# The tests that start no process, in the debug build: `make quick`, after each edit. The binaries are started here and not by cargo, which would look for
# changes before each of them anew.
set -u

# What has `damage` in its name tries thousands of broken texts and files.
LONG="--skip damage"
# Left by tests of src/core that passed: which binary it was, and when.
PASSED=target/quick/core

# One thread for each process of tests: two that wait for each other beside other processes are slower than one.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
# A fifth of what `make test` does.
export LATHE_RELOADS="${LATHE_RELOADS:-100}"
# Some wait for locks, files and clients.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-$(($(getconf _NPROCESSORS_ONLN) + 2))}"
# Tests make thousands of files that are synced to the disk and thrown away: in memory, where the system has a folder for that with room (they need 80 MB).
if [ -z "${TMPDIR:-}" ] && df -Pk /dev/shm 2> /dev/null | awk 'NR == 2 && $4 > 1000000 { found = 1 } END { exit !found }'; then
    export TMPDIR=/dev/shm
fi

built=$(${CARGO:-cargo} test --quiet --no-run --lib --test it --message-format=json-render-diagnostics) || exit
binary() {
    printf '%s\n' "$built" | sed -n 's|.*"executable":"\([^"]*/deps/'"$1"'-[0-9a-f]*\)".*|\1|p'
}
lathe=$(binary lathe) it=$(binary it) core=$(binary lathe_core)
mkdir -p target/quick

# All go on beside each other, each kind in a process of its own; what they say comes one after the other. The tests that cannot share a process are run one by
# one, in two processes, but for the fixtures of `make parity`, which take a minute.
half=scripts::alone::stdlib::every_test_of_the_standard_library_passes_the_second_half
alone() {
    LATHE_TEST_ALONE=1 "$it" --quiet --test-threads 1 $LONG --skip parity:: "$@"
}
alone ::alone:: --skip "$half" > target/quick/alone.txt 2>&1 & one=$!
alone --exact "$half" > target/quick/half.txt 2>&1 & two=$!
"$it" --quiet $LONG --skip ::process:: --skip ::alone:: > target/quick/it.txt 2>&1 & three=$!
trap 'kill $one $two $three 2> /dev/null; exit 130' INT TERM

failed=0
"$lathe" --quiet $LONG || failed=1
# A binary that passed passes again, as long as what it reads is the same.
if [ "$(cat $PASSED 2> /dev/null)" = "$core" ] && [ -z "$(find -H "$core" tests/data .libtorch -newer $PASSED 2> /dev/null | head -n 1)" ]; then
    echo "the tests of src/core: unchanged since they passed, not run again (make test runs them)"
elif (cd src/core && "$core" --quiet $LONG); then
    printf '%s\n' "$core" > $PASSED
else
    failed=1
fi
for process in $one $two $three; do
    wait "$process" || failed=1
done
cat target/quick/it.txt target/quick/alone.txt target/quick/half.txt
exit $failed
