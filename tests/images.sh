#!/usr/bin/env bash
# Builds the images' runtime stages from existing binaries and runs them as a cluster would, without
# daemon or registry. Usage: images.sh RELEASE_DIR. The trainer's image holds libtorch and is built
# only; with CUDA that takes minutes and 15 GB.
#
# The compiling stages need the public base image; here rootfs.sh collects the same files from this
# machine. runc runs the inference image: user 65532, read-only root, no capabilities, the storage
# read-only. It shares the host's network, so that probes can reach it, on ports of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
release=$(realpath "$1")
work=$(mktemp -d)
grpc=51552 admin=51952
store=(buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs)
running=

finish() {
    [[ -z $running ]] || runc --root "$work/runc" delete --force "$running" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT
fail() { printf 'image check failed: %s\n' "$*" >&2; exit 1; }
say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
size() { du -sm --apparent-size "$1" | cut -f1; }

# build NAME PROGRAM…: builds the runtime stage of NAME.Dockerfile on an image with the files.
build() {
    local name=$1 tag=digits-$1 package=digits-$1 files container sbom
    [[ $name != digits ]] || tag=digits package=digits-cli
    shift
    deploy/docker/rootfs.sh "$work/files/$name" "$@"
    grep -q "sbom.sh /image $package\$" "deploy/docker/$name.Dockerfile" || fail "$name.Dockerfile lists no crates"
    deploy/docker/sbom.sh "$work/files/$name" "$package"
    container=$("${store[@]}" from scratch)
    "${store[@]}" copy --quiet "$container" "$work/files/$name" /image >/dev/null
    files=localhost/files-$name
    "${store[@]}" commit --quiet --rm "$container" "$files" >/dev/null
    rm -rf "$work/files"
    { echo 'ARG FILES'; sed -n '/^FROM \${FILES}/,$p' "deploy/docker/$name.Dockerfile"; } >"$work/$name.Dockerfile"
    "${store[@]}" bud --quiet --isolation chroot --format docker --pull-never --build-arg "FILES=$files" \
        --file "$work/$name.Dockerfile" --tag "$tag" deploy/docker >/dev/null
    "${store[@]}" push --quiet --disable-compression --format oci "$tag" "oci:$work/oci-$name:image" >/dev/null
    "${store[@]}" rmi --all --force >/dev/null
    umoci unpack --image "$work/oci-$name:image" "$work/bundle-$name" >/dev/null
    rm -rf "$work/oci-$name"
    sbom=$work/bundle-$name/rootfs/usr/share/sbom/$package.cdx.json
    grep -q '"name": "tonic"' "$sbom" || fail "$tag does not list its crates"
    say "$tag: $(size "$work/bundle-$name/rootfs") MB"
}

# restrict NAME SOURCE:TARGET:ro|rw… -- ARGUMENT…: applies a pod's security context and mounts to a
# bundle. With a path as first argument, that program runs instead of the image's own.
restrict() {
    python3 - "$work/bundle-$1" "${@:2}" <<'PYTHON'
import json, sys
bundle, rest = sys.argv[1], sys.argv[2:]
mounts, arguments = rest[:rest.index("--")], rest[rest.index("--") + 1:]
path = bundle + "/config.json"
config = json.load(open(path))
process = config["process"]
process.update(terminal=False, noNewPrivileges=True, user={"uid": 65532, "gid": 65532})
process["args"] = arguments if arguments[0].startswith("/") else process["args"][:1] + arguments
process["capabilities"] = {kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")}
process.pop("rlimits", None)
config["root"]["readonly"] = True
config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] not in ("network", "cgroup")]
config["linux"].pop("resources", None)
config["mounts"] = [m for m in config["mounts"] if m["destination"] not in ("/sys", "/sys/fs/cgroup", "/dev/mqueue")]
config["mounts"].append({"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]})
for mount in mounts:
    source, target, mode = mount.split(":")
    config["mounts"].append({"destination": target, "type": "bind", "source": source, "options": ["bind", mode]})
json.dump(config, open(path, "w"))
PYTHON
    # For `health`, which reads the address from the environment.
    sed -i "s/\[::\]:905[12]/127.0.0.1:$admin/" "$work/bundle-$1/config.json"
}

start() {
    running=$1
    runc --root "$work/runc" run --bundle "$work/bundle-$1" "$1" >"$work/$1.log" 2>&1 &
    pid=$!
}
inside() { runc --root "$work/runc" exec "$running" "$@"; }
# Waits until the image's health check succeeds.
ready() {
    local left=300
    until inside "/usr/local/bin/digits-$running" health 2>/dev/null; do
        ((left--)) && kill -0 "$pid" 2>/dev/null || { cat "$work/$running.log" >&2; fail "$running is not ready"; }
        sleep 0.1
    done
}
stop() {
    runc --root "$work/runc" kill "$running" TERM
    wait "$pid" || { cat "$work/$running.log" >&2; fail "$running ended with $?"; }
    running=
}

mkdir "$work/storage"

build inference "$release/digits-inference"
[[ $(size "$work/bundle-inference/rootfs") -le 25 ]] || fail 'digits-inference is larger than 25 MB'
"$release/digits-trainer" run --spec tests/images.json --storage "$work/storage"
restrict inference "$work/storage:/var/lib/digits/storage:ro" -- --storage /var/lib/digits/storage \
    --listen "127.0.0.1:$grpc" --admin-listen "127.0.0.1:$admin"
start inference
ready
# Whether the model serves this sequence.
serves() { curl -sf "127.0.0.1:$grpc/v2/models/digits" | grep -q "\"versions\":\[\"$1\"\]"; }
pixels=$(printf '0,%.0s' $(seq 783))0
predict() {
    curl -sf "127.0.0.1:$grpc/v2/models/digits/infer" \
        -d "{\"inputs\": [{\"name\": \"pixels\", \"datatype\": \"UINT8\", \"shape\": [1, 28, 28], \"data\": [$pixels]}]}"
}
serves 1 || fail 'inference does not serve the first checkpoint'
predict | grep -q '"label"' || fail 'inference does not answer'
"$release/digits-trainer" run --spec tests/images.json --storage "$work/storage"
left=300
until serves 2; do
    ((left--)) || fail 'the second checkpoint was not loaded'
    sleep 0.1
done
predict | grep -q '"label"' || fail 'inference does not answer after the hot load'
stop
say 'digits-inference started, answered, loaded the next checkpoint and ended on SIGTERM'

# once ARGUMENT…: runs the command line's image to its end, with the storage and a folder of backups.
mkdir "$work/backups"
chown 65532:65532 "$work/backups"
once() {
    cp "$work/digits.json" "$work/bundle-digits/config.json"
    restrict digits "$work/storage:/var/lib/digits/storage:ro" "$work/backups:/var/lib/digits/backups:rw" \
        "$PWD/deploy/kubernetes/components/backup:/etc/digits/backup:ro" -- "$@"
    runc --root "$work/runc" run --bundle "$work/bundle-digits" digits >"$work/digits.log" 2>&1 ||
        { cat "$work/digits.log" >&2; fail "digits: $*"; }
}
# The programs are those that the Dockerfile copies.
read -ra programs < <(tr -d '\\\n' <deploy/docker/digits.Dockerfile | grep -o '/bin/sh [a-z/ ]*')
build digits "$release/digits" "${programs[@]}"
cp "$work/bundle-digits/config.json" "$work/digits.json"
once serving --storage /var/lib/digits/storage
[[ $(grep -cE '^ +[0-9]+ ' "$work/digits.log") == 2 ]] || { cat "$work/digits.log" >&2; fail 'digits does not list two records'; }
once /usr/local/bin/sh -c 'STORAGE=/var/lib/digits/storage BACKUPS=/var/lib/digits/backups sh /etc/digits/backup/backup.sh'
for part in serving checkpoints; do
    tar -tf "$work"/backups/*/$part.tar | grep -q . || fail "the backup has no $part"
done
say 'digits listed the records and backed the storage up'

build trainer "$release/digits-trainer" "$release/digits-trainer-engine"
