#!/usr/bin/env bash
# Installs libtorch into a private Python environment, from PyTorch's wheel for CPU or GPU.
# Usage: libtorch.sh VENV TORCH_VERSION
#
# DIGITS_TORCH=auto, the default: without an NVIDIA GPU, PyTorch's CPU wheels are tried first (a
# tenth of the size), then the wheel with CUDA of the Python package index, which works on every
# machine. DIGITS_TORCH=cuda: the wheel with CUDA only. DIGITS_TORCH=cpu: the CPU wheel only.
# DIGITS_TORCH_CPU_INDEX: a mirror of PyTorch's index of CPU wheels.
set -euo pipefail
venv=$1
version=$2
stamp=$venv/.torch-$version
[ -e "$stamp" ] && exit 0

wanted=${DIGITS_TORCH:-auto}

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

case $wanted in
auto | cpu | cuda) ;;
*)
    say "DIGITS_TORCH=$wanted: must be auto, cpu or cuda"
    exit 64
    ;;
esac
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
    cpu_wheels=${DIGITS_TORCH_CPU_INDEX:-https://download.pytorch.org/whl/cpu}
    has_gpu() { [ -e /dev/nvidiactl ] || command -v nvidia-smi >/dev/null; }
    if [ "$wanted" = cpu ] || { [ "$wanted" = auto ] && ! has_gpu; }; then
        if "$venv/bin/python" -c "import urllib.request as u; u.urlopen('$cpu_wheels/torch/', timeout=10)" 2>/dev/null; then
            say "installing torch $version for the CPU (about 200 MB)"
            "$venv/bin/pip" install --quiet --index-url "$cpu_wheels" "torch==$version" && installed=yes
        fi
        if [ "$wanted" = cpu ] && [ -z "$installed" ]; then
            say "DIGITS_TORCH=cpu: torch $version for the CPU cannot be had from $cpu_wheels"
            say "name a mirror with DIGITS_TORCH_CPU_INDEX, or leave DIGITS_TORCH out: then the wheel with CUDA serves, 3.6 GB on disk"
            exit 69
        fi
    fi
    if [ -z "$installed" ]; then
        say "installing torch $version (3.6 GB on disk; a minute or two with a fast connection)"
        "$venv/bin/pip" install --quiet "torch==$version"
    fi
fi
touch "$stamp"
