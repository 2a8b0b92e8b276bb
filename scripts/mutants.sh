#!/bin/sh
# Breaks one rule of the queue's protocol at a time and demands that the simulation notices.
# usage: scripts/mutants.sh [SEEDS] [NUMBER…]    SEEDS: how many at most, default 400; NUMBER: 05 for only that one
set -eu
cd "$(dirname "$0")/.."
seeds=${1:-400}
[ $# -eq 0 ] || shift
# A target folder of its own: cargo takes two trees of one package for the same, and builds of both for fresh.
built=${CARGO_TARGET_DIR:-$PWD/target}
folder=$built/mutants/tree
export CARGO_TARGET_DIR="$built/mutants/target"
rm -rf "$folder"
mkdir -p "$folder"
# The libraries are those of the tests, where these are built.
if [ -d "$built/debug/deps" ] && [ ! -d "$CARGO_TARGET_DIR/debug" ]; then
    mkdir -p "$CARGO_TARGET_DIR/debug"
    cp -a "$built/debug/deps" "$built/debug/build" "$built/debug/.fingerprint" "$CARGO_TARGET_DIR/debug"
fi

# Prints the first seed that broke, or nothing.
simulate() {
    if ! (cd "$folder" && cargo test --quiet --locked --no-default-features --test tests --no-run >build.log 2>&1); then
        echo "does not build: $(grep -m 1 '^error' "$folder/build.log")"
        return
    fi
    code=0
    (cd "$folder" && MAILQ_SEEDS=0.."$seeds" MAILQ_FIRST=1 timeout 1200 cargo test --quiet --locked --no-default-features --test tests \
        simulation:: -- --nocapture >run.log 2>&1) || code=$?
    [ $code -ne 0 ] || return 0
    # The harness prints a dot for each test that passed, so a seed's line may begin behind dots.
    seed=$(grep -a -o -m 1 'seed [0-9][0-9]*: .*' "$folder/run.log" | cut -c 1-100)
    # 124: the time was over, which says nothing about the rule.
    [ -z "$seed" ] && [ $code -eq 124 ] || echo "${seed:-fails without a seed}"
}

fresh() {
    cp -R Cargo.toml Cargo.lock src crates tests benches fuzz templates campaigns mailq.toml README.md "$folder"
    [ ! -f clippy.toml ] || cp clippy.toml "$folder"
    # Only the simulation is compiled.
    sed -i '/^mod simulation;/!{/^mod /d;/^use /d;/^#\[cfg/d;/^\/\/\/ /d}' "$folder/tests/tests.rs"
}

for patch in tests/mutants/*.patch; do
    if ! patch -s -p1 --dry-run <"$patch" >/dev/null; then
        echo "error: $patch does not apply; make it anew" >&2
        exit 1
    fi
done

failed=0
report() {
    printf '%-9s %-70s %s\n' "$1" "$2" "$3"
}
fresh
found=$(simulate)
if [ -n "$found" ]; then
    report BROKEN "nothing changed" "$found"
    failed=1
else
    report holds "nothing changed" "$seeds seeds"
fi
for patch in tests/mutants/*.patch; do
    name=$(basename "$patch" .patch)
    if [ $# -gt 0 ]; then
        case " $* " in *" ${name%%-*} "*) ;; *) continue ;; esac
    fi
    (cd "$folder" && patch -s -p1) <"$patch"
    found=$(simulate)
    case $found in
    "") report SURVIVES "$name" "$seeds seeds" && failed=1 ;;
    "does not build"*) report STALE "$name" "$found" && failed=1 ;;
    *) report caught "$name" "$found" ;;
    esac
    (cd "$folder" && patch -s -R -p1) <"$patch"
done
exit $failed
