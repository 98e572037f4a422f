# shellcheck shell=bash
# What the scripts share. Sourced, not run.

# need_command COMMAND PACKAGE...: installs Debian's packages where COMMAND is missing.
need_command() { command -v "$1" >/dev/null || install_packages "${@:2}"; }

# need_packages PACKAGE...: installs those of Debian's packages that are not there.
need_packages() {
    local package missing=()
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"
}

install_packages() {
    echo "scripts/$(basename "$0"): installing $*" >&2
    apt install -y --no-install-recommends "$@" || { apt update && apt install -y --no-install-recommends "$@"; }
}

# apt-get as root that asks nothing, says nothing but errors, and waits for another one to end.
apt() {
    local get=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
    [ "$(id -u)" -eq 0 ] || get=(sudo "${get[@]}")
    command -v apt-get >/dev/null || { echo "there is no apt-get here" >&2; return 1; }
    "${get[@]}" "$@" >/dev/null
}

# candidate PACKAGE: the version that apt would install; nothing when it knows none.
candidate() { apt-cache policy "$1" 2>/dev/null | awk '/Candidate:/ && $2 != "(none)" { print $2 }'; }

# Puts a cargo into PATH whose Rust is as new as Cargo.toml says: the one in PATH, rustup's, Debian's, or one that apt
# can install (Debian's own, the newer ones it keeps for browsers, rustup).
need_rust() {
    local wanted
    wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    find_rust "$wanted" && return
    install_rust "$wanted" && return
    # On a fresh machine apt does not know yet what there is.
    apt update && install_rust "$wanted" && return
    echo "scripts/$(basename "$0"): needs Rust $wanted or newer, and apt has none; https://rustup.rs has it" >&2
    return 1
}

# install_rust VERSION: whether apt had one.
install_rust() {
    local package
    for package in "" -web -mozilla; do
        if is_at_least "$1" "$(candidate "rustc$package")"; then
            install_packages "cargo$package" "rustc$package" gcc libc6-dev ca-certificates && find_rust "$1" && return
        fi
    done
    [ -n "$(candidate rustup)" ] && install_packages rustup gcc libc6-dev ca-certificates || return 1
    rustup toolchain install --no-self-update --profile default stable || return 1
    PATH=$(dirname "$(rustup which --toolchain stable cargo)"):$PATH
    find_rust "$1"
}

# find_rust VERSION: whether there is one; puts its folder first in PATH.
find_rust() {
    local folder version
    for folder in "" "${CARGO_HOME:-$HOME/.cargo}/bin:" /usr/bin:; do
        version=$(PATH=$folder$PATH rustc --version 2>/dev/null | awk '{ print $2 }') || continue
        if is_at_least "$1" "$version" && PATH=$folder$PATH cargo --version >/dev/null 2>&1; then
            PATH=$folder$PATH
            need_command cc gcc libc6-dev
            return 0
        fi
    done
    return 1
}

# is_at_least WANTED VERSION
is_at_least() { [ -n "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -1)" = "$1" ]; }

# port_is_free PORT: whether no program has it, for UDP or TCP, on any address.
port_is_free() {
    local files=() file
    # A machine without IPv6 has only two of them.
    for file in /proc/net/{udp,udp6,tcp,tcp6}; do [ ! -e "$file" ] || files+=("$file"); done
    # 0A: a TCP socket that listens.
    awk -v end="$(printf ':%04X' "$1")" '
        substr($2, length($2) - 4) == end && (FILENAME ~ /udp/ || $4 == "0A") { exit taken = 1 }
        END { exit taken }' "${files[@]}"
}

# free_port FIRST: FIRST, or the next port that is free.
free_port() {
    local port
    for ((port = $1; port < $1 + 100 && port < 65536; port++)); do
        if port_is_free "$port"; then echo "$port"; return; fi
    done
    echo "scripts/$(basename "$0"): no free port from $1 on" >&2
    return 1
}
