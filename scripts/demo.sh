#!/bin/sh
# Builds mailq and sends the sample campaign through the embedded queue into a folder of files. No mail leaves the machine.
set -eu
cd "$(dirname "$0")/.."
. scripts/prerequisites.sh
need cc build-essential
need make build-essential
need perl perl
install_missing

echo "== building (the first time takes a few minutes)"
# The embedded queue is enough here, and Kafka's library takes minutes to build.
cargo build --release --locked --no-default-features
mailq=target/release/mailq
[ -z "${CARGO_TARGET_DIR:-}" ] || mailq=$CARGO_TARGET_DIR/release/mailq

echo "== mailq run campaigns/welcome.toml"
"$mailq" run campaigns/welcome.toml

echo "== mailq status"
"$mailq" status

echo
echo "The mails are files in outbox/; this is where one begins:"
first=$(find outbox -type f 2>/dev/null | sort | head -n1)
[ -z "$first" ] || sed -n '1,12p' "$first"
cat <<END

Next:
  $mailq run campaigns/welcome.toml              again: it says "already sent"
  $mailq run campaigns/welcome.toml --run again  a second mail to everyone
  $mailq recipients welcome                      what became of each recipient
  $mailq verify                                  the proof that nobody is missing
To send through a real server, set \`url\` in mailq.toml (README.md: Gmail, QQ, 163, Postfix).
END
