#!/usr/bin/env bash
# Collects the files of a minimal image: `rootfs.sh ROOT PROGRAM…`. Programs go to /usr/local/bin;
# the shared libraries that the loader finds for them keep their paths, so that an rpath stays
# valid.
set -euo pipefail
root=$1
shift

mkdir -p "$root"/{etc/ssl/certs,tmp,usr/local/bin,var/lib/digits/storage,var/lib/digits/state}
chmod 1777 "$root/tmp"
chown -R 65532:65532 "$root/var/lib/digits"
echo 'nonroot:x:65532:65532::/var/lib/digits/state:/sbin/nologin' >"$root/etc/passwd"
echo 'nonroot:x:65532:' >"$root/etc/group"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"

for program in "$@"; do
    install -m 0755 "$program" "$root/usr/local/bin/"
    libraries=$(ldd "$program")
    if grep 'not found' <<<"$libraries"; then
        echo "$program lacks shared libraries" >&2
        exit 69
    fi
    # `name => /path (address)`, and the loader itself without the arrow. Paths such as an rpath's
    # `lib/../../` are normalized.
    while read -r library; do
        library=$(realpath --no-symlinks "$library")
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done < <(grep -o '/[^ ]*' <<<"$libraries")
done
