"""The page of a migration: what is taken over, what becomes of each setting, and what stops it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matrix_baremetal import federation, report
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.migrate import Taken
from matrix_baremetal.takeover import Row
from matrix_baremetal.transfer import amount

FATES = {"kept": "kept as they are", "moved": "said in another place", "left": "not taken over"}


def facts(taken: Taken) -> dict[str, Any]:
    """The same for a program; its keys are a promise."""
    seen, stores = taken.rows.seen, taken.manifest["stores"]
    return {
        "server_name": taken.source.server_name,
        "source": taken.path,
        "signing_key": key(taken),
        "database": {
            "from": taken.rows.kind,
            "to": stores["database"]["kind"],
            "size": seen.size,
            "schema": seen.schema,
        },
        "accounts": seen.users.get(taken.source.server_name, 0),
        "media": taken.manifest["media"],
        "settings": [{"key": row.key, "fate": row.fate, "where": row.where} for row in taken.takeover.rows],
    }


def key(taken: Taken) -> str | None:
    """The id of its signing key."""
    text = next(data for path, data in taken.files.items() if path.endswith("/signing.key"))
    try:
        return federation.public_key(text.decode("utf-8", "replace"))[0]
    except federation.Unsound:
        return None


def page(taken: Taken, *, new: bool) -> str:
    """What a person reads before anything changes. `new`: the config is written."""
    seen = facts(taken)
    base = seen["database"]
    there = f"{amount(base['size'])} of {base['from']}, {report.several('account', seen['accounts'])}"
    rows = [
        ("server", seen["server_name"]),
        ("signing key", seen["signing_key"] or "none that is of use"),
        ("database", f"{there}, into {base['to']}"),
        ("media", amount(seen["media"]) + ("" if taken.manifest["trees"] else ", which stay where they are")),
        ("config", "/etc/matrix-baremetal/config.yaml, " + ("which is written now" if new else "as it is")),
    ]
    how = "where nothing is changed" if taken.source.docker else "of which a copy is kept"
    parts = [f"What is taken over from {taken.path}, {how}\n", report.indented(report.table(rows))]
    for fate, title in FATES.items():
        if settings := [(row.key, place(row)) for row in taken.takeover.rows if row.fate == fate]:
            parts.append(f"\nSettings that are {title}\n\n{report.indented(report.table(settings))}")
    return "\n".join(parts)


def place(row: Row) -> str:
    """Where a setting is, or why it is nowhere."""
    return row.where if row.fate == "left" else f"→ {row.where}"


def in_the_way(obstacles: Sequence[Obstacle]) -> str:
    """What stops it, as `plan` tells it."""
    told = "\n\n".join(report.wrapped(f"✗ {each.message}\n  next: {each.hint}", 2) for each in obstacles)
    return f"Nothing was changed, and nothing can be taken over as long as this is in the way:\n\n{told}"
