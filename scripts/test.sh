#!/bin/sh
# Everything that must hold: formatting, lints, tests (against Postfix and real Kafka brokers too), broken rules, fuzz
# targets, manifests, documents. Kafka is fetched from Maven Central and a validator from PyPI, once, into
# ${MAILQ_TEST_CACHE:-~/.cache/mailq-tests}; after that no network is needed.
# usage: scripts/test.sh [quick]
#   quick    what a change most likely breaks, in less than three minutes once the libraries are built
set -eu
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh

case ${1:-all} in
all | quick) ;;
*)
    sed -n 's/^# \(usage: .*\)/\1/p' "$0" >&2
    exit 2
    ;;
esac

step() {
    echo "== $*"
    "$@"
}

need_tools() {
    need cc build-essential
    need make build-essential
    need perl perl
    if [ "$1" = all ]; then
        need c++ build-essential
        need patch patch
        need openssl openssl
        need smtp-sink postfix
        need promtool prometheus
        need pkg-config pkg-config
        need java default-jre-headless
        need mvn maven
        need kcat kcat
        need python3 python3-venv
        python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv python3-venv
    fi
    install_missing
    for part in fmt clippy; do
        if ! cargo "$part" --version >/dev/null 2>&1; then
            case $part in fmt) part=rustfmt ;; esac
            printf 'error: no %s\nhint: rustup component add %s\n' "$part" "$part" >&2
            exit 2
        fi
    done
}

quick() {
    step cargo fmt --all --check
    step cargo clippy --locked --workspace --all-targets --no-default-features -- -D warnings
    step cargo test --locked --workspace --no-default-features --lib
    step cargo test --locked --no-default-features --test scenarios
    echo "== 200 seeds of the simulation, the engine, the source tree"
    MAILQ_SEEDS=0..200 cargo test --locked --no-default-features --test tests -- \
        simulation::every_promise_holds_under_faults engine:: architecture:: fuzz_corpus::
    cat <<END
== passed
Left out: whole outputs of commands, SMTP conversations, the contract of each queue, shared rates, acceptance lines,
the other 1,800 seeds and those of the day; everything with Kafka, Postfix and Prometheus; broken rules, fuzz targets, manifests,
documents. \`scripts/test.sh\` runs them.
END
}

all() {
    step cargo fmt --all --check
    step scripts/kafka.sh fetch
    step scripts/manifests.sh
    step cargo clippy --locked --workspace --all-targets --no-default-features -- -D warnings
    step cargo clippy --locked --workspace --all-targets -- -D warnings
    step scripts/fuzz.sh check
    cargo test --locked --workspace --no-default-features --no-run
    # What the build wrote goes to the disk now, not beside tests that wait for theirs.
    sync
    step cargo test --locked --workspace --no-default-features
    cargo test --locked --workspace --no-run
    sync
    step cargo test --locked --workspace --lib
    step cargo test --locked --test tests -- cli:: commands:: kafka
    step scripts/mutants.sh 200 03 05 22
    echo "== cargo doc"
    RUSTDOCFLAGS="-D warnings" \
        cargo doc --locked --workspace --no-deps --document-private-items
    echo "== all passed"
}

need_tools "${1:-all}"
"${1:-all}"
