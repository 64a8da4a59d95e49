#!/usr/bin/env bash
# Puts libtorch into a private Python environment: PyTorch's wheel is the libtorch for CPU and GPU alike.
# Usage: libtorch.sh VENV TORCH_VERSION
#
# On a machine without an NVIDIA GPU PyTorch's own CPU wheels are tried first, a tenth of the size; the wheel
# of the Python package index, which brings CUDA, serves everywhere. DIGITS_TORCH=cuda skips the first try.
set -euo pipefail
venv=$1
version=$2
stamp=$venv/.torch-$version
[ -e "$stamp" ] && exit 0

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

command -v python3 >/dev/null || {
    say "python3 is missing: install Python 3 with its venv module (Debian: apt-get install python3-venv)"
    exit 69
}
if ! "$venv/bin/python" -c "import torch, sys; sys.exit(not torch.__version__.startswith('$version'))" 2>/dev/null; then
    say "creating a Python environment in $venv"
    python3 -m venv "$venv" || {
        say "python3 has no venv module: install it (Debian: apt-get install python3-venv)"
        exit 69
    }
    installed=
    cpu_wheels=https://download.pytorch.org/whl/cpu
    if [ "${DIGITS_TORCH:-auto}" != cuda ] && [ ! -e /dev/nvidiactl ] && ! command -v nvidia-smi >/dev/null &&
        "$venv/bin/python" -c "import urllib.request as u; u.urlopen('$cpu_wheels/torch/', timeout=10)" 2>/dev/null; then
        say "no GPU here: installing torch $version for the CPU (about 200 MB)"
        "$venv/bin/pip" install --quiet --index-url "$cpu_wheels" "torch==$version" && installed=yes
    fi
    if [ -z "$installed" ]; then
        say "installing torch $version (3.6 GB on disk; a minute or two with a fast connection)"
        "$venv/bin/pip" install --quiet "torch==$version"
    fi
fi
touch "$stamp"
