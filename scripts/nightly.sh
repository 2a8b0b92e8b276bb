#!/bin/sh
# What takes hours: scripts/nightly.sh [PART…]. Parts, all by default: test, mutants (every broken rule), cargo-mutants,
# fuzz (ten minutes a target). .github/workflows/nightly.yml runs each part on a machine of its own.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- test mutants cargo-mutants fuzz
failed=
for part in "$@"; do
    echo "=== $part"
    case $part in
    test) scripts/test.sh ;;
    mutants) scripts/mutants.sh ;;
    cargo-mutants) scripts/cargo-mutants.sh ;;
    fuzz) scripts/fuzz.sh 600 ;;
    *) echo "error: no part \`$part\`" >&2 && exit 2 ;;
    esac || failed="$failed $part"
done
[ -z "$failed" ] || { echo "error: failed:$failed" >&2; exit 1; }
