#!/usr/bin/env bash
# Checks what packages depend on and what binaries link. Usage: guards.sh BINARIES_DIR
set -euo pipefail
binaries=$1
failed=0
fail() { printf 'guard failed: %s\n' "$*" >&2; failed=1; }
passed() { printf 'guard passed: %s\n' "$*"; }

# Names of a package's normal dependencies, without those of tests and build scripts.
dependencies() { cargo tree --locked --quiet --edges normal --prefix none --package "$1" | awk '{print $1}' | sort -u; }
needed() { readelf --dynamic --wide "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

check_absent() { # package, forbidden…
    local package=$1 list
    shift
    list=$(dependencies "$package")
    for name in "$@"; do
        if grep -qx "$name" <<<"$list"; then fail "$package depends on $name"; return; fi
    done
    passed "$package depends on none of: $*"
}

check_absent digits-inference digits-trainer tch torch-sys digits-dataset
check_absent digits-trainer digits-inference
check_absent digits-server digits-service
for package in digits-proto digits-checkpoint digits-client digits-dataset digits-environment digits-figure digits-picture digits-server digits-service digits-telemetry digits-transcode; do
    check_absent "$package" digits-trainer digits-inference digits-cli tch torch-sys
done
check_absent digits-cli digits-trainer digits-inference tch torch-sys
check_absent digits-picture tonic tokio digits-proto digits-checkpoint digits-dataset digits-server digits-telemetry
check_absent digits-transcode tonic tokio digits-proto digits-checkpoint digits-dataset digits-server digits-telemetry
check_absent digits-client digits-checkpoint digits-dataset digits-server digits-telemetry

# Development-only packages and features must not be shipped.
for package in digits-inference digits-trainer digits-cli digits-client; do
    check_absent "$package" digits-workspace-hack digits-testing
    tokio=$(cargo tree --locked --quiet --edges normal --prefix none --package "$package" --format '{p} {f}' | grep '^tokio v')
    if grep -q test-util <<<"$tokio"; then
        fail "$package ships tokio's test-util"
    else
        passed "$package ships tokio without test-util"
    fi
done
if tests/features.py; then
    passed "every crate is built with one set of features in development"
else
    fail "crates are built more than once in development: name their features in crates/workspace-hack/Cargo.toml"
fi

# Only the trainer's engine links libtorch, and with it CUDA where the libtorch has CUDA.
for binary in digits-inference digits digits-trainer; do
    libraries=$(needed "$binaries/$binary")
    if grep -q torch <<<"$libraries"; then fail "$binary links libtorch"; else passed "$binary links no libtorch"; fi
done
engine=$binaries/digits-trainer-engine
libtorch=$(readelf --dynamic --wide "$engine" | sed -n 's/.*(R\(UN\)\?PATH).*\[\(.*\)\]/\2/p' | tr ':' '\n' | while read -r dir; do
    if [ -e "$dir/libtorch_cpu.so" ]; then echo "$dir"; break; fi
done)
if [ -z "$libtorch" ]; then
    fail "digits-trainer-engine has no rpath to libtorch"
else
    passed "digits-trainer-engine finds libtorch by its rpath"
    needed "$engine" | grep -qx libtorch_cpu.so && passed "digits-trainer-engine needs libtorch_cpu.so" ||
        fail "digits-trainer-engine does not need libtorch_cpu.so"
    if [ -e "$libtorch/libtorch_cuda.so" ]; then
        needed "$engine" | grep -qx libtorch_cuda.so && passed "digits-trainer-engine needs libtorch_cuda.so" ||
            fail "digits-trainer-engine does not need libtorch_cuda.so: CUDA would never be available"
    else
        passed "this libtorch has no CUDA, so there is none to link"
    fi
fi

# git grep that succeeds without a match.
found() { git grep "$@" || [ $? = 1 ]; }

check_unnamed() { # what is checked, pattern, pathspec…
    local rule=$1 pattern=$2 lines
    shift 2
    lines=$(found -nE "$pattern" -- "$@")
    if [ -n "$lines" ]; then fail "not true that $rule: $lines"; else passed "$rule"; fi
}
check_unnamed "only the trainer names tch" '\b(tch|torch_sys)::' '*.rs' ':!trainer'
check_unnamed "the training loop names neither gRPC nor tokio" '\b(tonic|tokio|digits_proto)::' trainer/src/train
check_unnamed "the engine names neither gRPC nor tokio" '\b(tonic|tokio|digits_proto)::' inference/src/engine

tests/imports.py || failed=1

exit "$failed"
