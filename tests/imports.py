#!/usr/bin/env python3
"""Checks which files import which: no cycles within a crate, and the rules between crates.

A file uses another when it names an item that the other defines; a re-export is followed to the
file that defines the item. So a parent that only declares and re-exports its children uses none of
them. Code under #[cfg(test)] does not count. Macros and methods are not seen.
"""

import collections
import os
import re
import subprocess
import sys

SERVER_FORBIDS = {"digits_checkpoint", "digits_dataset", "digits_proto", "digits_trainer", "digits_inference"}
# Items of digits_proto that are no generated types.
NO_TYPES = {"FILE_DESCRIPTOR_SET", "json"}

TOKEN = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?\*/|\s+)
      |(?P<string>b?c?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'|'\w+)
      |(?P<word>(?:r\#)?[A-Za-z_]\w*)
      |(?P<sign>::|[^\w\s])
      |(?P<number>\d[\w.]*?(?=\.\.|[^\w.]|$|\.[A-Za-z_]))""",
    re.S | re.X,
)
DEFINES = {"struct", "enum", "union", "trait", "type", "fn", "const", "static"}
NO_NAMES = {"fn", "unsafe", "extern", "mut", "_", ":"}  # as in `const fn`, `static mut`, `*const _`
OPEN, CLOSE = "([{", ")]}"


def tokens(text):
    """The words and signs of a file with their lines, without comments and literals."""
    result, line, at = [], 1, 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            at += 1
            continue
        if match["word"] or match["sign"]:
            result.append((match[0].removeprefix("r#"), line))
        elif match["string"]:
            result.append(('""', line))
        line += match[0].count("\n")
        at = match.end()
    return result


def closing(toks, start):
    """The index of the bracket that closes the one at `start`."""
    depth = 0
    for index in range(start, len(toks)):
        depth += (toks[index][0] in OPEN) - (toks[index][0] in CLOSE)
        if depth == 0:
            return index
    return len(toks) - 1


def without_tests(toks):
    """Drops the items that are compiled for tests alone."""
    kept, index = [], 0
    while index < len(toks):
        if toks[index][0] == "#" and index + 1 < len(toks) and toks[index + 1][0] == "[":
            end = closing(toks, index + 1)
            words = [word for word, _ in toks[index + 2 : end]]
            if words[:1] == ["cfg"] and "test" in words and "not" not in words and "any" not in words:
                index = end + 1
                while toks[index][0] == "#":  # further attributes of the item
                    index = closing(toks, index + 1) + 1
                while toks[index][0] not in ";{":
                    index = closing(toks, index) + 1 if toks[index][0] in "([" else index + 1
                is_use = toks[index][0] == "{" and toks[index - 1][0] == "::"
                index = (closing(toks, index) if toks[index][0] == "{" else index) + 1
                index += is_use  # the semicolon
            else:
                kept += toks[index : end + 1]
                index = end + 1
        else:
            kept.append(toks[index])
            index += 1
    return kept


def use_tree(toks, index, prefix, found):
    """Reads a tree of `use` into (path, alias, line); returns the index behind it."""
    path = list(prefix)
    while True:
        word, line = toks[index]
        if word == "{":
            index += 1
            while toks[index][0] != "}":
                index = use_tree(toks, index, path, found)
                index += toks[index][0] == ","
            return index + 1
        if word == "*":
            found.append((path, "*", line))
            return index + 1
        if word != "::":
            path.append(word)
            follows = toks[index + 1][0]
            if follows != "::":
                alias = word
                if follows == "as":
                    alias, index = toks[index + 2][0], index + 2
                if path[-1] == "self":
                    path.pop()
                    alias = path[-1] if alias == "self" else alias
                found.append((path, alias, line))
                return index + 1
        index += 1


class Module:
    def __init__(self, file, path, parent):
        self.file, self.path, self.parent = file, path, parent
        self.children, self.defined, self.names, self.globs = {}, set(), {}, []
        self.uses, self.paths = [], []


class Crate:
    """The modules of one target: a library, a binary or a test binary."""

    def __init__(self, root):
        self.modules = []
        self.root = self.load(root, (), None, os.path.dirname(root))

    def load(self, file, path, parent, folder):
        with open(file, encoding="utf-8") as source:
            toks = without_tests(tokens(source.read()))
        return self.module(file, path, parent, folder, toks)

    def module(self, file, path, parent, folder, toks):
        module = Module(file, path, parent)
        self.modules.append(module)
        index = depth = 0
        while index < len(toks):
            word, line = toks[index]
            previous = toks[index - 1][0] if index else ""
            following = toks[index + 1][0] if index + 1 < len(toks) else ""
            if word in "{}":
                depth += 1 if word == "{" else -1
            elif word == "mod" and depth == 0 and re.match(r"\w", following):
                opener = toks[index + 2][0]
                child_folder = os.path.join(folder, following)
                if opener == "{":
                    end = closing(toks, index + 2)
                    child = self.module(file, (*path, following), module, child_folder, toks[index + 3 : end])
                    module.children[following] = child
                    index = end
                elif opener == ";":
                    options = [child_folder + ".rs", os.path.join(child_folder, "mod.rs")]
                    for option in filter(os.path.exists, options):
                        child = self.load(option, (*path, following), module, child_folder)
                        module.children[following] = child
                    index += 2
            elif word == "use" and previous not in ("::", "."):
                found = []
                start = index + 1 + (following == "::")
                index = use_tree(toks, start, [], found)
                module.uses += found
                continue
            elif word in DEFINES and depth == 0 and following not in NO_NAMES:
                module.defined.add(following)
            elif re.match(r"[A-Za-z_]", word) and previous not in ("::", "."):
                segments, at = [word], index
                while at + 2 < len(toks) and toks[at + 1][0] == "::" and re.match(r"[A-Za-z_]", toks[at + 2][0]):
                    segments.append(toks[at + 2][0])
                    at += 2
                module.paths.append((segments, line))
                index = at
            index += 1
        for used, alias, _ in module.uses:
            if alias == "*":
                module.globs.append(used)
            elif alias != "_":
                module.names[alias] = used
        return module

    def start(self, module, path):
        """The module that a path begins in, and the rest of the path."""
        if path[0] == "crate":
            return self.root, path[1:]
        if path[0] == "self":
            module, path = module, path[1:]
            while path and path[0] == "super":
                module, path = module.parent, path[1:]
            return module, path
        if path[0] == "super":
            while path and path[0] == "super" and module:
                module, path = module.parent, path[1:]
            return module, path
        return module, path

    def resolve(self, module, path, seen=()):
        """The module that defines what a path names, and whether that is the module itself."""
        module, path = self.start(module, list(path))
        if module is None:
            return None
        while path and path[0] in module.children:
            module, path = module.children[path[0]], path[1:]
        if not path:
            return module, True
        name, key = path[0], (module.path, path[0])
        if name in module.defined:
            return module, False
        if key in seen:
            return None
        if name in module.names and module.names[name] != path[:1]:
            return self.resolve(module, [*module.names[name], *path[1:]], (*seen, key))
        for glob in module.globs:
            target = self.resolve(module, glob, (*seen, key))
            if target and target[1] and target[0] is not module:
                inner = self.resolve(target[0], ["self", *path], (*seen, key))
                if inner:
                    return inner
        return None

    def edges(self):
        """Maps (file, file it uses) to the first (line, path) that does."""
        result = {}
        for module in self.modules:
            mentioned = {segments[0] for segments, _ in module.paths}
            candidates = list(module.paths)
            for path, alias, line in module.uses:
                # What is imported and not named is a trait, or passed on by a re-export.
                if alias in mentioned or alias == "_":
                    candidates.append((path, line))
            for path, line in candidates:
                target = self.resolve(module, path)
                if target and not target[1] and target[0].file != module.file:
                    result.setdefault((module.file, target[0].file), (line, "::".join(path)))
        return result


def components(graph):
    """Tarjan's strongly connected components of more than one file."""
    order, low, stack, result = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for after in graph[node]:
            if after not in order:
                visit(after)
                low[node] = min(low[node], low[after])
            elif after in stack:
                low[node] = min(low[node], order[after])
        if low[node] == order[node]:
            cut = stack.index(node)
            if len(stack) - cut > 1:
                result.append(set(stack[cut:]))
            del stack[cut:]

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return result


def cycle_within(component, graph):
    """A shortest cycle of a component."""
    best = None
    for start in sorted(component):
        queue = collections.deque([[start]])
        seen = set()
        while queue:
            path = queue.popleft()
            for after in sorted(graph[path[-1]] & component):
                if after == start and (best is None or len(path) < len(best)):
                    best = path
                if after not in seen:
                    seen.add(after)
                    queue.append([*path, after])
    return best


def cycles(crate):
    """The cycles of a crate, each as the lines that describe it; none shares an edge."""
    edges = crate.edges()
    graph = collections.defaultdict(set)
    for source, target in edges:
        graph[source].add(target)
        graph[target]
    result = []
    for component in components(graph):
        rest = {node: set(after) for node, after in graph.items()}
        while cycle := cycle_within(component, rest):
            steps = list(zip(cycle, cycle[1:] + cycle[:1]))
            lines = [f"    {source}:{edges[source, target][0]} {edges[source, target][1]} -> {target}" for source, target in steps]
            result.append("\n".join(["cycle:", *lines]))
            for source, target in steps:
                rest[source].remove(target)
    return result


def rust_files():
    listed = subprocess.run(["git", "ls-files", "*.rs"], check=True, stdout=subprocess.PIPE, text=True)
    return [file for file in listed.stdout.split() if os.path.exists(file)]


def roots(files):
    pattern = re.compile(r"^(.*/)?(src/(lib|main)|src/bin/\w+|tests/\w+/main|tests/\w+)\.rs$")
    return [file for file in files if pattern.match(file)]


def uses_of(file, pattern):
    """Where a file names what matches, outside comments and literals."""
    with open(file, encoding="utf-8") as source:
        toks = tokens(source.read())
    for index, (word, line) in enumerate(toks):
        if re.fullmatch(pattern, word):
            yield f"{file}:{line}", word, [after for after, _ in toks[index + 1 : index + 3]]


def rule(failures, title, found):
    found = list(found)
    print(f"{'guard failed' if found else 'guard passed'}: {title}")
    for place in found:
        print(f"  {place}")
    failures += [title] * bool(found)


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    files, failures, cyclic = rust_files(), [], []
    for root in roots(files):
        cyclic += cycles(Crate(root))
    rule(failures, "no files of a crate import each other in a circle", cyclic)

    def named(folder, pattern):
        return (place for file in files if file.startswith(folder) for place, _, _ in uses_of(file, pattern))

    rule(failures, "no service imports the other", [*named("trainer/", "digits_inference"), *named("inference/", "digits_trainer")])
    rule(failures, "crates/server imports no product crate", named("crates/server/src/", "|".join(sorted(SERVER_FORBIDS))))
    generated = []
    for file in files:
        if re.match(r"(trainer|inference)/src/", file) and not re.search(r"/(grpc|wire)(/|\.rs$)", file):
            generated += [place for place, _, after in uses_of(file, "digits_proto") if not NO_TYPES.intersection(after[1:2])]
    rule(failures, "generated protobuf types are named only in grpc/ and wire", generated)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
