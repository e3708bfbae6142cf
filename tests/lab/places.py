"""Where the lab keeps things, its locks, and files that are never half-written.

Four places, as they live for different times: `CACHE` for as long as what went in is the same, `DISKS` and `VMS` for
as long as a guest or a virtual machine, `RUN` until the machine restarts. MATRIX_BAREMETAL_LAB moves them all below
one directory; the network is still the one network of this machine, so two such directories can't be in use at once:
`PREFIX` keeps them from taking each other's guests for leftovers.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_moved = os.environ.get("MATRIX_BAREMETAL_LAB")
CACHE = Path(_moved, "cache") if _moved else Path("/var/cache/matrix-baremetal-lab")
DISKS = Path(_moved, "disks") if _moved else Path("/var/lib/matrix-baremetal-lab")
VMS = Path(_moved, "vms") if _moved else Path("/var/lib/matrix-baremetal-vms")
RUN = Path(_moved, "run") if _moved else Path("/run/matrix-baremetal-lab")
# What the kernel's things of this lab (control groups, network namespaces, mounts) are called, before "-NAME".
PREFIX = f"mblab{hashlib.sha256(_moved.encode()).hexdigest()[:4]}" if _moved else "mblab"
REPOSITORY = Path(__file__).resolve().parents[2]


@contextmanager
def lock(name: str, wait: bool = True) -> Iterator[bool]:
    """Hold the lock called `name`; yields whether it could be had. Ends with its process, however that ends.

    Lock files stay in the cache for good: one that is removed while somebody waits on it locks nothing.
    """
    path = CACHE / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def write_text(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file whole or not at all: readers and killed writers never see a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.new")
    draft.write_text(text)
    draft.chmod(mode)
    draft.replace(path)


def write_json(path: Path, document: Any) -> None:
    write_text(path, json.dumps(document, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The document in `path`, or None where there is none."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
