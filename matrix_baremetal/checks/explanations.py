"""What each check means for a homeserver, and what to do where it fails, as explanations.txt has it."""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_name("explanations.txt")


def read() -> dict[str, tuple[str, str]]:
    """Both texts, by what ids look like in the documentation."""
    text = "\n".join(line for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#"))
    found = {}
    for block in text.strip().split("\n\n"):
        id, *lines = block.splitlines()
        means, _, todo = " ".join(line.strip() for line in lines).partition(" To do: ")
        found[id] = (means, todo)
    return found
