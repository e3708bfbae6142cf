"""docs/coverage.md names tests, files and checks: all of them exist."""

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
