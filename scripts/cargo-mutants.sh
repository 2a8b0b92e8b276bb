#!/bin/sh
# Changes the protocol and the policy, an expression at a time, and demands that a test notices: cargo-mutants, set up in
# .cargo/mutants.toml. Arguments are cargo-mutants' own, for example `--shard 0/8` or `--file src/protocol/ledger.rs`.
# What nobody notices is listed in mutants.out/missed.txt. scripts/mutants.sh breaks whole rules instead.
set -eu
cd "$(dirname "$0")/.."
if ! cargo mutants --version >/dev/null 2>&1; then
    printf 'error: no cargo-mutants\nhint: cargo install --locked cargo-mutants\n' >&2
    exit 2
fi
# A mutant that the first hundred runs do not notice is worth a look, whatever the other runs find.
export MAILQ_SEEDS="${MAILQ_SEEDS:-0..100}" MAILQ_FIRST=1
exec cargo mutants --no-shuffle "$@"
