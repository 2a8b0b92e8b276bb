#!/bin/sh
# What a package holds beside the program: scripts/package.sh BINARY FOLDER writes manual pages, tab completions, samples
# and licences, all from the program itself or this checkout. Used by releases (docs/releasing.md) and for the .deb:
#   cargo build --release --locked
#   scripts/package.sh target/release/mailq target/dist && cargo deb --no-build
set -eu
[ $# -eq 2 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
mailq=$(readlink -f "$1")
mkdir -p "$2"
folder=$(readlink -f "$2")
cd "$(dirname "$0")/.."
rm -rf "$folder/man" "$folder/completions" "$folder/deploy" "$folder/samples"
"$mailq" --quiet manual "$folder/man"
mkdir -p "$folder/completions" "$folder/samples"
"$mailq" completions bash >"$folder/completions/mailq"
"$mailq" completions zsh >"$folder/completions/_mailq"
"$mailq" completions fish >"$folder/completions/mailq.fish"
cp -R deploy "$folder/deploy"
cp -R mailq.toml campaigns templates "$folder/samples"
cp README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$folder"
