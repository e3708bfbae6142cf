"""The pages for operators that messages name: they are there, and named by the path that an installed machine has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from matrix_baremetal import HOW_TO

TREE = Path(__file__).parents[2]
TEXTS = sorted((TREE / "matrix_baremetal").rglob("*.py")) + sorted((TREE / "matrix_baremetal").rglob("*.txt"))


def test_the_package_has_them() -> None:
    assert "docs/how-to" in (TREE / "debian/matrix-baremetal.docs").read_text().splitlines()
    assert HOW_TO == "/usr/share/doc/matrix-baremetal/how-to"


def test_each_page_that_a_message_names_is_there() -> None:
    named = {name for path in TEXTS for name in re.findall(r"\{HOW_TO\}/([\w-]+\.md)", path.read_text())}
    assert len(named) >= 5
    assert {name for name in named if not (TREE / "docs/how-to" / name).exists()} == set()


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_message_names_a_page_by_its_place_in_our_tree(path: Path) -> None:
    assert "docs/how-to" not in path.read_text()
