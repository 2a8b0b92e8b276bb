#!/bin/sh
# One acceptance line against the real program: scripts/acceptance.sh LINE [COUNT] [SEED]. Without a line it lists them.
set -eu
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
need cc build-essential
need make build-essential
need perl perl
[ "${1:-}" != smtp-source ] || need smtp-source postfix
features="--no-default-features"
case ${1:-kafka-} in
kafka-*)
    # The others do not wait for the build of its library.
    features="--features kafka"
    need openssl openssl
    need pkg-config pkg-config
    need java default-jre-headless
    need mvn maven
    need kcat kcat
    ;;
esac
[ "${1:-}" != kafka-throughput ] || need smtp-source postfix
install_missing
case $features in *kafka) scripts/kafka.sh fetch 4.3.1 ;; esac
# shellcheck disable=SC2086 # One or two words.
cargo build --release --locked $features --package mailq --package mailq-testkit --bin mailq --bin acceptance
target=${CARGO_TARGET_DIR:-target}/release
MAILQ_BIN=${MAILQ_BIN:-$target/mailq}
export MAILQ_BIN
exec "$target/acceptance" "$@"
