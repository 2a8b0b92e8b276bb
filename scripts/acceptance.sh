#!/bin/sh
# One acceptance line against the real program: scripts/acceptance.sh LINE [COUNT] [SEED]. Without a line it lists them.
set -eu
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
need cc build-essential
need make build-essential
need perl perl
[ "${1:-}" != smtp-source ] || need smtp-source postfix
install_missing
cargo build --release --locked --bin mailq --example acceptance
target=${CARGO_TARGET_DIR:-target}/release
MAILQ_BIN=${MAILQ_BIN:-$target/mailq}
export MAILQ_BIN
exec "$target/examples/acceptance" "$@"
