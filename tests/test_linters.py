"""Linters and types are tests, for everything that is Python here, with or without a suffix."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
LINES = 320


def programs() -> list[str]:
    """Python programs whose names don't say so."""
    found = []
    for path in (*TOP.glob("bin/*"), *TOP.glob("units/*")):
        first = path.read_text(errors="replace").split("\n", 1)[0]
        if first.startswith("#!") and "python" in first:
            found.append(str(path.relative_to(TOP)))
    return sorted(found)


def passes(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=TOP, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    passes("ruff", "check", "--quiet", ".", *programs())


def test_ruff_would_format_nothing() -> None:
    passes("ruff", "format", "--quiet", "--diff", ".", *programs())


def test_types_are_right() -> None:
    passes("mypy", "matrix_baremetal", "tests")


@pytest.mark.parametrize("program", [name for name in programs() if name.startswith("bin/")])
def test_types_of_programs_are_right(program: str) -> None:
    passes("mypy", "--scripts-are-modules", program)


def test_files_stay_short() -> None:
    """Files that grow without end are what goes wrong (docs/design.md §8)."""
    files = [*TOP.glob("matrix_baremetal/**/*.py"), *TOP.glob("tests/**/*.py")]
    long = {str(path.relative_to(TOP)): len(path.read_text().splitlines()) for path in files}
    assert {name: lines for name, lines in long.items() if lines > LINES} == {}
