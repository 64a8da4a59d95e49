#!/usr/bin/env bash
# Unpacks Debian's packages of handwriting fonts, without root: `fonts.sh FOLDER`. They are under the
# SIL Open Font License, but: rufscript, sjfonts and tlwg-purisa are under the GPL with an exception
# for fonts, femkeklaver under CC BY-SA 3, kiloji under a BSD licence; aoyagi-kouzan-t and
# kouzan-mouhitsu are in the public domain.
set -euo pipefail
folder=$1
packages=(
    aoyagi-kouzan-t breip bwht comic-neue dancingscript dkg-handwriting ecolier-court femkeklaver havana
    humor-sans kaushanscript kiloji kouzan-mouhitsu kristi nanum-extra rufscript seto sjfonts
    tlwg-purisa-otf tomsontalks yozvox-yozfont-edu yozvox-yozfont-standard-kana yusei-magic
)
command -v apt-get >/dev/null || { echo 'apt-get is missing: the fonts come from Debian' >&2; exit 69; }
mkdir -p "$folder"
for package in "${packages[@]/#/fonts-}"; do
    [[ -d $folder/$package ]] && continue
    work=$(mktemp -d "$folder/.work.XXXXXX")
    # apt's download user cannot write to a private folder.
    (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package")
    dpkg-deb -x "$work"/*.deb "$work/root"
    mv "$work/root" "$folder/$package"
    rm -rf "$work"
done
