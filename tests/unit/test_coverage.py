"""docs/coverage.md names tests, files and checks that exist, and nothing that was asked for lacks an answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
PAGE = TREE / "docs/coverage.md"
if not PAGE.exists():  # the installed package is tested without its docs
    pytest.skip("docs/coverage.md is not there", allow_module_level=True)
TEXT = PAGE.read_text()
SOURCES = "".join(path.read_text() for path in (TREE / "tests").rglob("test_*.py"))
# What was asked for around the homeserver: an id that has no row is one that somebody forgot.
ASKED = (
    "E5–E10, G1, G3, G4, H1–H4, H6, I1–I3, J1–J6, K1–K8, L1–L3, M3, M6, P13, P14, P18, P24, P25, X2",
    "account F4, F6–F9, F12, F13",
    "metrics P1–P3",
)
CHECKS = (TREE / "docs/checks.md").read_text()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"(?<![\w/])test_\w+(?!\w*\.py)\b", TEXT))))
def test_a_test_that_is_named_exists(name: str) -> None:
    assert f"def {name}(" in SOURCES


@pytest.mark.parametrize("path", sorted(set(re.findall(r"tests/[\w/]+\.py", TEXT))))
def test_a_file_that_is_named_exists(path: str) -> None:
    assert (TREE / path).exists()


@pytest.mark.parametrize("check", sorted(set(re.findall(r"`doctor: ([^`]+)`", TEXT))))
def test_a_check_that_is_named_exists(check: str) -> None:
    assert f"| `{check}`" in CHECKS


def ids(cell: str) -> set[str]:
    """The ids of a cell, "A1–A3, B2" as four; a word before one holds for those behind it too."""
    found, word = set(), ""
    for part in cell.split(", "):
        said, _, each = part.rpartition(" ")
        word = said or word
        kind, numbers = each[0], [int(number) for number in re.findall(r"\d+", each)]
        found |= {f"{word} {kind}{number}".strip() for number in range(numbers[0], numbers[-1] + 1)}
    return found


@pytest.mark.parametrize("asked", sorted(set().union(*map(ids, ASKED))))
def test_what_was_asked_for_has_an_answer(asked: str) -> None:
    rows = re.findall(r"^\| ([^|]*\d) \| [^|]+ \| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert [answer for cell, answer in rows if asked in ids(cell) and answer.strip()]
