#!/usr/bin/env python3
"""Checks that development builds compile each crate with one set of features.

Cargo compiles a crate again for each set. crates/workspace-hack unifies the sets over the members,
and over the target and the compiler's own side (build scripts and procedural macros). This prints
every crate that is built with more than one set, or by a single member with another one.
"""

import collections
import json
import subprocess
import sys


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def feature_sets(*selection):
    """Maps each crate of the selection to the sets of features it is built with."""
    sets = collections.defaultdict(set)
    edges = ["--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{f}"]
    for line in cargo("tree", *selection, *edges).splitlines():
        if "|" not in line:
            continue
        crate, features = line.replace(" (*)", "").split("|")
        sets[crate.split(" (")[0]].add(features)
    return sets


def main():
    metadata = json.loads(cargo("metadata", "--no-deps", "--format-version", "1"))
    everywhere = feature_sets("--workspace")
    differing = [
        f"the workspace builds {crate} with [{'] and ['.join(sorted(sets))}]"
        for crate, sets in sorted(everywhere.items())
        if len(sets) > 1
    ]
    for member in sorted(package["name"] for package in metadata["packages"]):
        for crate, sets in sorted(feature_sets("--package", member).items()):
            for features in sorted(sets - everywhere[crate]):
                wanted = "] or [".join(sorted(everywhere[crate]))
                differing.append(f"{member} builds {crate} with [{features}], the workspace with [{wanted}]")
    print("\n".join(differing), file=sys.stderr)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
