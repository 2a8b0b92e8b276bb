#!/bin/sh
# Fuzzes what parses foreign bytes (fuzz/targets.rs). Needs a nightly compiler and cargo-fuzz.
# usage: scripts/fuzz.sh [SECONDS] [TARGET…]    each target so long, 300 seconds by default; all targets by default
#        scripts/fuzz.sh check                  compiles the targets with the ordinary compiler
# An input that breaks a target is in fuzz/artifacts/. One that is worth keeping goes into fuzz/corpus/, which
# `cargo test fuzz_corpus` runs with every test.
set -eu
cd "$(dirname "$0")/.."
# The versions of the product: the fuzzer's own workspace has no lock file in the repository.
cp Cargo.lock fuzz/Cargo.lock
if [ "${1:-}" = check ]; then
    # Libraries that the tests have checked are not checked again.
    CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} exec cargo check --quiet --manifest-path fuzz/Cargo.toml
fi
seconds=${1:-300}
[ $# -eq 0 ] || shift
if ! cargo +nightly --version >/dev/null 2>&1; then
    printf 'error: no nightly compiler\nhint: rustup toolchain install nightly --profile minimal\n' >&2
    exit 2
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    printf 'error: no cargo-fuzz\nhint: cargo install --locked cargo-fuzz\n' >&2
    exit 2
fi
# shellcheck disable=SC2046 # A word for each target.
[ $# -gt 0 ] || set -- $(cargo fuzz list)
# The sanitizer's check for doubled globals is about how the program was linked, not about the inputs.
ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_odr_violation=0
export ASAN_OPTIONS
found=${TMPDIR:-/tmp}/mailq-fuzz.$$
trap 'rm -rf "$found"' EXIT
failed=
for target in "$@"; do
    # New inputs go elsewhere: the committed corpus is small and readable.
    mkdir -p "$found/$target"
    echo "== $target, $seconds s"
    cargo +nightly fuzz run "$target" "$found/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -print_final_stats=1 || failed="$failed $target"
done
[ -z "$failed" ] || { echo "error: broken:$failed" >&2; exit 1; }
