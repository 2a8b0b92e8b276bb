#!/bin/sh
# What must hold without a cluster: formatting, lints, tests (against Postfix's smtp-sink too), broken rules, documents.
# scripts/test-kafka.sh adds what needs brokers.
set -eu
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
need cc build-essential
need make build-essential
need perl perl
need openssl openssl
need smtp-sink postfix
install_missing
for part in fmt clippy; do
    if ! cargo "$part" --version >/dev/null 2>&1; then
        case $part in fmt) part=rustfmt ;; esac
        printf 'error: no %s\nhint: rustup component add %s\n' "$part" "$part" >&2
        exit 2
    fi
done

echo "== cargo fmt --check"
cargo fmt --check
echo "== cargo clippy"
cargo clippy --locked --all-targets -- -D warnings
echo "== cargo test"
cargo test --locked --no-run
# What the build wrote goes to the disk now, not beside tests that wait for theirs.
sync
cargo test --locked
echo "== cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
echo "== all passed"
