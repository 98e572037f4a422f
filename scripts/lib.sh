# shellcheck shell=bash
# What the scripts share. Sourced, not run.

# need_command COMMAND PACKAGE: installs Debian's PACKAGE where COMMAND is missing.
need_command() { command -v "$1" >/dev/null || install_packages "$2"; }

install_packages() {
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    echo "$(basename "$0"): installing $*" >&2
    $sudo apt-get install -y --no-install-recommends -qq "$@" >/dev/null ||
        { $sudo apt-get update -qq && $sudo apt-get install -y --no-install-recommends -qq "$@" >/dev/null; }
}
