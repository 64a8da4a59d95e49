#!/usr/bin/env bash
# Provides Debian programs for the tests: `tools.sh CACHE PACKAGE…`. Skips programs that are on the
# PATH or in CACHE. Self-contained packages are unpacked into CACHE without root; others are
# installed with apt, which needs root, or reported with the command that installs them.
set -euo pipefail
cache=$1
shift

# The program that shows that a package is installed.
program() {
    case $1 in
        nghttp2-client) echo h2load ;;
        *) echo "$1" ;;
    esac
}

# Go programs are statically linked, so their package can be unpacked anywhere.
self_contained() { [[ $1 == prometheus ]]; }

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

unpack() {
    local folder=$cache/debian/$1 work
    work=$(mktemp -d "$cache/debian/.$1.XXXXXX")
    # apt's download user cannot write to a private folder.
    (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$1" 2>/dev/null) ||
        { as_root apt-get update -qq && (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$1"); }
    dpkg-deb -x "$work"/*.deb "$work/root"
    rm -rf "$folder"
    mv "$work/root" "$folder"
    rm -rf "$work"
}

missing() {
    printf '%s is missing (Debian: apt-get install %s)\n' "$(program "$1")" "$1" >&2
    exit 69
}

mkdir -p "$cache/debian"
for package in "$@"; do
    program=$(program "$package")
    if command -v "$program" >/dev/null || [[ -x $cache/debian/$package/usr/bin/$program ]]; then
        continue
    fi
    command -v apt-get >/dev/null || missing "$package"
    printf '\033[1m==>\033[0m installing %s\n' "$package"
    if self_contained "$package"; then
        unpack "$package" || missing "$package"
    else
        as_root apt-get install -qq -y --no-install-recommends "$package" >/dev/null 2>&1 ||
            { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -qq -y --no-install-recommends "$package" >/dev/null; } || missing "$package"
    fi
done
