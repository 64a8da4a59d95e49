#!/usr/bin/env bash
# Debian's programs that the tests drive: `tools.sh CACHE PACKAGE…`. One that is on the PATH or was unpacked before is
# left as it is. What stands alone is unpacked into a folder of CACHE and needs no rights; the rest is installed
# with apt, which needs root, or is named with the command that installs it.
set -euo pipefail
cache=$1
shift

# The program that tells that a package is there.
program() {
    case $1 in
        nghttp2-client) echo h2load ;;
        *) echo "$1" ;;
    esac
}

# Go programs are linked whole, so their package can be unpacked anywhere.
stands_alone() { [[ $1 == prometheus ]]; }

as_root() {
    if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

unpack() {
    local folder=$cache/debian/$1 work
    work=$(mktemp -d "$cache/debian/.$1.XXXXXX")
    # apt's own download user may not write into a private folder.
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
    if stands_alone "$package"; then
        unpack "$package" || missing "$package"
    else
        as_root apt-get install -qq -y --no-install-recommends "$package" >/dev/null 2>&1 ||
            { as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -qq -y --no-install-recommends "$package" >/dev/null; } || missing "$package"
    fi
done
