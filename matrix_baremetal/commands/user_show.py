"""user show: all that is known of one account."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from matrix_baremetal import report
from matrix_baremetal.commands.person import admin_api, somebody
from matrix_baremetal.commands.status import memory
from matrix_baremetal.resources.admin_api import AdminApi, of_user, pages
from matrix_baremetal.session import Session


def shown(now: Session, args: Namespace) -> int:
    """Print it."""
    row = somebody(now, args.name)
    with admin_api(now) as api:
        seen = known(api, row)
    if args.json:
        report.document(seen)
        return 0
    print(seen["user"])
    print(report.indented(report.table([*page(seen)])))
    return 0


def known(api: AdminApi, row: dict[str, Any]) -> dict[str, Any]:
    """What Synapse knows, under stable keys; times in seconds since 1970, sizes in bytes."""
    user = row["user"]
    about = api.ask("GET", f"/v2{of_user(user)}")
    devices = api.ask("GET", f"/v2{of_user(user)}/devices")["devices"]
    media = [one["media_length"] or 0 for one in pages(api, f"/v1{of_user(user)}/media", "media")]
    return {
        **row,
        "displayname": about.get("displayname"),
        "emails": [one["address"] for one in about.get("threepids", []) if one["medium"] == "email"],
        **{key: bool(about.get(key)) for key in ("erased", "locked", "suspended")},
        "last_seen": seconds(about.get("last_seen_ts")),
        "devices": [
            {
                "device": one["device_id"],
                "name": one.get("display_name"),
                "last_seen": seconds(one.get("last_seen_ts")),
                "address": one.get("last_seen_ip"),
            }
            for one in devices
        ],
        "rooms": api.ask("GET", f"/v1{of_user(user)}/joined_rooms")["total"],
        "media": {"files": len(media), "bytes": sum(media)},
    }


def page(seen: dict[str, Any]) -> list[tuple[str, str]]:
    """The same in words, a row each."""
    states = [state for state in ("erased", "locked", "suspended") if seen[state]]
    state = ", ".join((["deactivated"] if seen["deactivated"] else []) + states) or "active"
    rows = [
        ("name", seen["displayname"] or ""),
        ("role", "administrator" if seen["admin"] else "user"),
        ("state", state),
        *(("e-mail", address) for address in seen["emails"]),
        ("created", moment(seen["created"])),
        ("last seen", moment(seen["last_seen"])),
        ("rooms", str(seen["rooms"])),
        ("media", f"{seen['media']['files']} files, {memory(seen['media']['bytes'])}"),
        ("devices", str(len(seen["devices"]))),
    ]
    for one in seen["devices"]:
        origin = f" from {one['address']}" if one["address"] else ""
        words = [one["device"], one["name"], f"last seen {moment(one['last_seen'])}{origin}"]
        rows.append(("", ", ".join(word for word in words if word)))
    return rows


def seconds(milliseconds: int | None) -> int | None:
    """Seconds since 1970 of Synapse's milliseconds."""
    return None if milliseconds is None else milliseconds // 1000


def moment(when: int | None) -> str:
    """A moment for a person."""
    return "never" if when is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(when))
