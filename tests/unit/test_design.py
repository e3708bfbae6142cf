"""docs/design.md says where everything is: each module of the package stands in its tree (§6)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/design.md"
PACKAGE = Path(__file__).parents[2] / "matrix_baremetal"
if not (PAGE.exists() and PACKAGE.exists()):  # as the installed package runs its tests
    pytest.skip("docs/design.md is not there", allow_module_level=True)


def test_every_module_stands_in_the_tree() -> None:
    tree = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    [text] = [part for part in tree if part.startswith("6. Tree")]
    words = set(re.findall(r"\w+", text))
    modules = {path.stem for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert modules - words == set()
