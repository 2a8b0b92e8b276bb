#!/bin/sh
# What needs brokers or manifests, on top of scripts/test.sh: the Kafka queue against real Apache Kafka.
# Kafka is fetched from Maven Central and a validator from PyPI, once, into ${MAILQ_TEST_CACHE:-~/.cache/mailq-tests}.
set -eu
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
need cc build-essential
need make build-essential
need perl perl
need openssl openssl
need smtp-sink postfix
need pkg-config pkg-config
need java default-jre-headless
need mvn maven
need kcat kcat
need python3 python3-venv
python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv python3-venv
install_missing

echo "== Kafka brokers"
scripts/kafka.sh fetch
echo "== deploy/kubernetes"
scripts/manifests.sh
echo "== cargo clippy"
cargo clippy --locked --all-targets --features kafka -- -D warnings
echo "== cargo test"
cargo test --locked --features kafka --no-run
sync
cargo test --locked --features kafka -- kafka
echo "== cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --features kafka --no-deps --document-private-items
echo "== all passed"
