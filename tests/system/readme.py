"""What a reader of the README types, so that the tests type the same."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def commands(heading: str) -> list[str]:
    """The commands below a heading of the README, up to the next heading."""
    _, found, rest = README.read_text().partition(f"\n{heading}\n")
    assert found, f"README.md has no heading {heading!r}"
    section = re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    lines = re.findall(r"^    (\S.*)$", section, re.MULTILINE)
    assert 0 < len(lines) <= 6, lines
    return lines
