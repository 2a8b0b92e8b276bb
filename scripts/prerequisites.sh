# Sourced by the other scripts: checks that tools are there; as root on Debian it installs what is missing, else it
# prints the one line that does.

# need TOOL PACKAGE: notes a package whose tool is not on the path (sbin included: Postfix lives there).
missing=""
need() {
    PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}

install_missing() {
    if [ -n "$missing" ]; then
        line="apt-get install -y --no-install-recommends$missing"
        if [ "$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then
            echo "missing:$missing; installing"
            export DEBIAN_FRONTEND=noninteractive
            apt-get update -q >/dev/null && $line >/dev/null || { echo "error: this failed: $line" >&2; exit 2; }
        else
            printf 'error: missing:%s\nhint: sudo %s\n' "$missing" "$line" >&2
            exit 2
        fi
    fi
    # rustup's folder is not always on the path of scripts.
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    export PATH
    if ! command -v cargo >/dev/null 2>&1; then
        printf 'error: no Rust compiler\nhint: curl -sSf https://sh.rustup.rs | sh -s -- -y\n' >&2
        exit 2
    fi
    found=$(rustc --version | cut -d' ' -f2)
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if [ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n1)" != "$wanted" ]; then
        printf 'error: Rust %s is too old, %s or newer is needed\nhint: rustup update stable\n' "$found" "$wanted" >&2
        exit 2
    fi
}
