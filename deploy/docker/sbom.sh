#!/usr/bin/env bash
# Lists the crates that a program is linked from, as CycloneDX in JSON: `sbom.sh ROOT PACKAGE` writes
# /usr/share/sbom/PACKAGE.cdx.json below ROOT. Without times and serial numbers, so that equal
# sources have equal lists.
#
# From cargo's own tree of the package: cargo-cyclonedx lists what the whole workspace needs, with
# the features of its tests.
set -euo pipefail
root=$1 package=$2
mkdir -p "$root/usr/share/sbom"
crates=$(cargo tree --locked --quiet --package "$package" --edges normal,no-proc-macro --prefix none \
    --format '{p}|{l}' | sed 's/ (\*)$//' | LC_ALL=C sort -u)
awk -v package="$package" '
    # Cargo.lock: the checksum of each version.
    FNR == NR {
        if ($1 == "name") name = $3
        if ($1 == "version") version = $3
        if ($1 == "checksum") checksums[name version] = $3
        next
    }
    # NAME vVERSION (WHERE)|LICENCE
    {
        licence = substr($0, index($0, "|") + 1)
        sub(/\|.*/, "")
        name = "\"" $1 "\""
        version = "\"" substr($2, 2) "\""
        purl = "\"pkg:cargo/" $1 "@" substr($2, 2) "\""
        crate = "\"bom-ref\": " purl ", \"name\": " name ", \"version\": " version ", \"purl\": " purl
        if (licence != "") {
            gsub(/ *\/ */, " OR ", licence)
            crate = crate ", \"licenses\": [{\"expression\": \"" licence "\"}]"
        }
        if (name version in checksums)
            crate = crate ", \"hashes\": [{\"alg\": \"SHA-256\", \"content\": " checksums[name version] "}]"
        if ($1 == package) program = "{\"type\": \"application\", " crate "}"
        else components = components (components ? ",\n" : "") "    {\"type\": \"library\", " crate "}"
    }
    END {
        print "{"
        print "  \"bomFormat\": \"CycloneDX\","
        print "  \"specVersion\": \"1.6\","
        print "  \"version\": 1,"
        print "  \"metadata\": {\"component\": " program "},"
        print "  \"components\": [\n" components "\n  ]"
        print "}"
    }' Cargo.lock - <<<"$crates" >"$root/usr/share/sbom/$package.cdx.json"
