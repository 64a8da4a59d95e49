"""Generates the modules of `digits_client.v1` from the protos of this repository.

Usage: generate.py [--check]

With --check it changes nothing, and exits with 1 if a module differs from what the protos give. It needs the packages
of requirements.txt: the oldest protoc whose modules work with protobuf 6 and 7, and mypy-protobuf, whose type stubs
carry the comments of the protos into editors.
"""

import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parents[2] / "proto"
TARGET = HERE / "src" / "digits_client" / "v1"
# protoc names modules after the path of their proto. These are inside the package instead, so that
# another package may be called `digits`. The names of messages and methods stay.
RENAMED = [
    (re.compile(r"^from digits\.v1 import", re.M), "from digits_client.v1 import"),
    (re.compile(r"'digits\.v1\.(\w+_pb2)'"), r"'digits_client.v1.\1'"),
]


def generated() -> dict[str, str]:
    """The modules by file name."""
    scripts = sysconfig.get_path("scripts")
    os.environ["PATH"] = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    protos = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("digits/v1/*.proto"))
    with tempfile.TemporaryDirectory() as folder:
        plugins = ["python", "grpc_python", "mypy", "mypy_grpc"]
        options = [f"--{plugin}_out={'quiet:' if 'mypy' in plugin else ''}{folder}" for plugin in plugins]
        include = Path(protoc.__file__).parent / "_proto"
        if protoc.main(["protoc", f"-I{PROTO}", f"-I{include}", *options, *protos]) != 0:
            sys.exit("protoc failed")
        modules = {path.name: path.read_text() for path in Path(folder, "digits/v1").iterdir()}
    for name, text in modules.items():
        for pattern, replacement in RENAMED:
            text = pattern.sub(replacement, text)
        modules[name] = text
    modules["__init__.py"] = '"""Messages and stubs of the services, generated from `proto/digits/v1/`."""\n'
    return modules


def main() -> None:
    modules = generated()
    present = {path.name: path.read_text() for path in TARGET.glob("*.py*") if path.is_file()}
    if "--check" in sys.argv[1:]:
        stale = sorted(name for name in modules.keys() | present.keys() if modules.get(name) != present.get(name))
        if stale:
            sys.exit(f"{', '.join(stale)}: not what the protos give; run `make python`")
        return
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in present.keys() - modules.keys():
        (TARGET / name).unlink()
    for name, text in modules.items():
        (TARGET / name).write_text(text)


if __name__ == "__main__":
    main()
