"""How the last backup went, for `status` and `doctor`: a note that only root reads."""

from __future__ import annotations

import json
import time
from typing import Any

from matrix_baremetal.host import Host

PATH = "/var/lib/matrix-baremetal/backup.json"


def read(host: Host) -> dict[str, Any]:
    """`last`, the last that is whole, and `failed`, why a later one was not made; either may be missing."""
    try:
        found = json.loads(host.text(PATH) or "{}")
        return dict(found) if isinstance(found, dict) else {}
    except ValueError:
        return {}


def succeeded(host: Host, row: dict[str, Any]) -> None:
    """One is whole."""
    host.write(PATH, json.dumps({"last": row}, indent=1) + "\n", 0o600)


def failed(host: Host, why: str) -> None:
    """One could not be made, or not be taken elsewhere."""
    host.write(
        PATH, json.dumps({**read(host), "failed": {"at": int(time.time()), "why": why}}, indent=1) + "\n", 0o600
    )
