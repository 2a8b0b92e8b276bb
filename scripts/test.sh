#!/bin/sh
# Everything that must hold: formatting, lints, tests (against Postfix and real Kafka brokers too), broken rules,
# manifests, documents. Kafka is fetched from Maven Central and a validator from PyPI, once, into
# ${MAILQ_TEST_CACHE:-~/.cache/mailq-tests}; after that no network is needed.
set -eu
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
need cc build-essential
need make build-essential
need perl perl
need patch patch
need openssl openssl
need smtp-sink postfix
need pkg-config pkg-config
need java default-jre-headless
need mvn maven
need kcat kcat
need python3 python3-venv
python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv python3-venv
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
echo "== Kafka brokers"
scripts/kafka.sh fetch
echo "== deploy/kubernetes"
scripts/manifests.sh
echo "== cargo clippy, without Kafka and with it"
cargo clippy --locked --all-targets -- -D warnings
cargo clippy --locked --all-targets --features kafka -- -D warnings
echo "== cargo test"
cargo test --locked --features kafka --no-run
# What the build wrote goes to the disk now, not beside tests that wait for theirs.
sync
cargo test --locked --features kafka -- --skip kafka
echo "== cargo test, over Kafka"
cargo test --locked --features kafka -- kafka
echo "== broken rules"
scripts/mutants.sh 60 03 05 07 08 12 15 19
echo "== cargo doc"
RUSTDOCFLAGS="-D warnings" cargo doc --locked --features kafka --no-deps --document-private-items
echo "== all passed"
