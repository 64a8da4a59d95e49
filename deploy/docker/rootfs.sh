#!/usr/bin/env bash
# Gathers the files of an image that holds programs and nothing else: `rootfs.sh ROOT PROGRAM…`. Each program goes to
# /usr/local/bin, the shared libraries that the loader finds for it to where they are found now, so that an rpath stays true.
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
    # `name => /path (address)`, and the loader itself without the arrow. An rpath's `lib/../../` is written out.
    while read -r library; do
        library=$(realpath --no-symlinks "$library")
        mkdir -p "$root${library%/*}"
        cp -L "$library" "$root$library"
    done < <(grep -o '/[^ ]*' <<<"$libraries")
done
