"""How long `doctor` takes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.look import looked
from tests.lab import Lab


def run(lab: Lab, debian: int, deb: Path, rounds: int) -> str:
    """See `look`."""
    return looked(lab, debian, deb, rounds, "doctor")
