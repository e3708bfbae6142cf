"""How the last backup went, for `status` and `doctor`: a note that only root reads."""

from __future__ import annotations

import json
import time
from typing import Any

from matrix_baremetal.host import Host

PATH = "/var/lib/matrix-baremetal/backup.json"
# What each row has at the least.
ROWS: dict[str, dict[str, type]] = {
    "last": {"path": str, "size": int, "made": int},
    "failed": {"at": int, "why": str},
    "drill": {"at": int, "path": str},
}


def read(host: Host) -> dict[str, Any]:
    """`last`, the last that is whole, `failed`, why a later one was not made, and `drill`, how the last
    drill went; each may be missing.
    """
    try:
        found = json.loads(host.text(PATH) or "{}")
        return {name: found[name] for name, kinds in ROWS.items() if sound(found.get(name), kinds)}
    except (ValueError, AttributeError):
        return {}


def sound(row: object, kinds: dict[str, type]) -> bool:
    """Whether a row has what is read of it."""
    return isinstance(row, dict) and all(isinstance(row.get(key), kind) for key, kind in kinds.items())


def succeeded(host: Host, row: dict[str, Any]) -> None:
    """One is whole."""
    kept = {name: each for name, each in read(host).items() if name != "failed"}
    write(host, {**kept, "last": row})


def failed(host: Host, why: str) -> None:
    """One could not be made, or not be taken elsewhere."""
    write(host, {**read(host), "failed": {"at": int(time.time()), "why": why}})


def drilled(host: Host, path: str, outcome: dict[str, Any]) -> None:
    """One was loaded and counted, or, with `failed` in the outcome, could not be."""
    write(host, {**read(host), "drill": {"at": int(time.time()), "path": path, **outcome}})


def write(host: Host, note: dict[str, Any]) -> None:
    """Put the note in place."""
    host.write(PATH, json.dumps(note, indent=1) + "\n", 0o600)
