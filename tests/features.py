#!/usr/bin/env python3
"""Checks that a development build of one member compiles the third-party crates of the whole workspace.

Cargo compiles a crate again for each set of features. crates/workspace-hack unifies the sets in
development builds; this prints every crate that a member still builds with features of its own,
and the features that the workspace builds it with.
"""

import collections
import json
import subprocess
import sys


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked", "--quiet"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def feature_sets(*selection):
    """Maps each third-party crate of the selection to the sets of features it is built with."""
    sets = collections.defaultdict(set)
    edges = ["--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{f}"]
    for line in cargo("tree", *selection, *edges).splitlines():
        if "|" not in line:
            continue
        crate, features = line.replace(" (*)", "").split("|")
        if "(/" not in crate:
            sets[crate.removesuffix(" (proc-macro)")].add(features)
    return sets


def main():
    metadata = json.loads(cargo("metadata", "--no-deps", "--format-version", "1"))
    everywhere = feature_sets("--workspace")
    differing = 0
    for member in sorted(package["name"] for package in metadata["packages"]):
        for crate, sets in sorted(feature_sets("--package", member).items()):
            for features in sorted(sets - everywhere[crate]):
                differing += 1
                wanted = " or ".join(sorted(everywhere[crate]))
                print(f"{member} builds {crate} with [{features}], the workspace with [{wanted}]", file=sys.stderr)
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
