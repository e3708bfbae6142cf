"""The linters pass, nothing grows without end, and everything public says what it is."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import matrix_baremetal

TREE = Path(__file__).parents[2]
PACKAGE = Path(matrix_baremetal.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES = 300
MOST_LINES_OF_A_TEST = 320
MOST_LINES_OF_A_FUNCTION = 40
# Hosts of package registries, in parts, or this file would name them itself.
REGISTRIES = tuple(
    f"{name}.{end}"
    for name, end in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("docker", "io"),
        ("jfrog", "io"),
    )
)


def tool(name: str) -> str:
    """A linter: that of the virtualenv, else the system's."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed; bin/setup installs it")
    return found


# What a clone has; a package that is being built may have less.
PARTS = [name for name in ("matrix_baremetal", "tests", "benchmarks") if (TREE / name).exists()]


def scripts() -> list[str]:
    """The Python programs whose names don't say so."""
    files = sorted([*TREE.glob("bin/*"), *TREE.glob("units/*"), *TREE.glob("debian/*")])
    first = {path: path.read_text(errors="replace").partition("\n")[0] for path in files if path.is_file()}
    return [str(path) for path, line in first.items() if line.startswith("#!") and "python" in line]


def passes(*argv: str) -> None:
    """A linter finds nothing."""
    done = subprocess.run(argv, cwd=TREE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_ruff_finds_nothing() -> None:
    passes(tool("ruff"), "check", "--quiet", *PARTS, *scripts())


def test_everything_is_formatted() -> None:
    passes(tool("ruff"), "format", "--check", "--quiet", *PARTS, *scripts())


def test_mypy_finds_nothing() -> None:
    passes(tool("mypy"), "--strict", *PARTS)


@pytest.mark.parametrize("script", scripts(), ids=lambda path: Path(path).name)
def test_mypy_finds_nothing_in_a_script(script: str) -> None:
    passes(tool("mypy"), "--strict", "--scripts-are-modules", script)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


def test_no_test_is_long() -> None:
    """Files that grow without end are what goes wrong (docs/design.md §8)."""
    files = [*TREE.glob("tests/**/*.py"), *TREE.glob("benchmarks/*.py")]
    lines = {str(path.relative_to(TREE)): len(path.read_text().splitlines()) for path in files}
    assert {name: count for name, count in lines.items() if count > MOST_LINES_OF_A_TEST} == {}


def definitions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef, ast.AST]]:
    """Every function and class of a module with its name and what it stands in."""
    for parent in ast.walk(ast.parse(path.read_text())):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name, node, parent


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_function_is_long(path: Path) -> None:
    for name, node, _ in definitions(path):
        if isinstance(node, ast.FunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{name} has {lines} lines"


# What these are for is said once, where they are declared first.
INHERITED = {
    "find",
    "find_each",
    "make",
    "undo",
    "run",
    "title",
    "paths",
    "editable",
    "verb",
    "key",
    "name",
    "stale_after",
    "staled",
    "noun",
}
INHERITED |= {"digest", "wanted", "needs", "resources", "reads", "undoable", "error", "checks", "look", "after"}
# Those of a store.
INHERITED |= {"settings", "rows", "tables", "clear", "size", "version", "obstacles", "trouble", "copy", "purge"}
INHERITED |= {"dump", "needed", "begin", "finish", "ready", "take", "taken", "forget", "kept", "counted", "data"}
INHERITED |= {"scratch", "numbers", "discard"}
INHERITED |= {"upkeep", "place", "measure", "leftovers", "vacuums", "reindexes", "rewrites", "carry_out"}
# Those of io.RawIOBase, and of the one that only goes forward.
INHERITED |= {"readable", "readinto", "seekable", "tell", "skip"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_everything_public_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "the module"
    for name, node, parent in definitions(path):
        inner = isinstance(parent, ast.FunctionDef) or getattr(parent, "name", "").startswith("_")
        inherited = isinstance(parent, ast.ClassDef) and name in INHERITED and parent.bases
        if not (name.startswith("_") or inner or inherited):
            assert ast.get_docstring(node), name


def test_nothing_that_is_committed_names_the_host_of_a_package_registry() -> None:
    git = shutil.which("git")
    if git is None or not (TREE / ".git").exists():
        pytest.skip("this is no clone: what is committed can't be known")
    done = subprocess.run([git, "ls-files", "-z"], cwd=TREE, stdout=subprocess.PIPE, check=True)
    paths = [TREE / name for name in done.stdout.decode().split("\0") if name]
    assert len(paths) > 50
    for path in paths:
        text = path.read_bytes().decode("utf-8", "replace").lower() if path.is_file() else ""
        for host in REGISTRIES:
            assert host not in text, f"{path} names {host}"
