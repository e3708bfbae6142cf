"""What Synapse's own upgrade notes ask for between two versions, as far as a config can tell: refusals and remarks.

From its docs/upgrade.md and CHANGES.md, of versions that this release can upgrade from or to. What concerns parts
that we set up ourselves (Python, Postgres, the reverse proxy) is held by preflight and by our own files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matrix_baremetal.errors import Obstacle
from matrix_baremetal.site import Site
from matrix_baremetal.versions import numbers

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Note:
    """What begins with a version: whom it `concerns`, by the settings of Synapse; with a `cure` it is refused."""

    version: str
    concerns: Callable[[Settings], bool]
    says: str
    cure: str = ""


def profiles(settings: Settings) -> bool:
    """Profiles are limited to people who share a room, and anybody may ask without saying who he is."""
    limited = settings.get("limit_profile_requests_to_users_who_share_rooms")
    return bool(limited) and not settings.get("require_auth_for_profile_requests")


def livekit(settings: Settings) -> bool:
    """A LiveKit transport is named in the old way alone."""
    rtc = settings.get("matrix_rtc")
    rows = rtc.get("transports", ()) if isinstance(rtc, Mapping) else ()
    return any(isinstance(row, Mapping) and "livekit_service_url" in row and "url" not in row for row in rows or ())


NOTES = (
    Note(
        "1.161.0",
        livekit,
        "matrix_rtc with livekit_service_url alone is deprecated: keep it for older clients, and add url to it",
    ),
    Note(
        "1.162.0",
        lambda settings: "default_room_version" not in settings,
        "new rooms are of version 12; people on servers that don't know it yet can't join them",
    ),
    Note(
        "1.163.0",
        profiles,
        "limit_profile_requests_to_users_who_share_rooms needs require_auth_for_profile_requests beside it",
        "set require_auth_for_profile_requests: true in synapse.settings, or take the other out; "
        "then: matrix-baremetal apply",
    ),
)


def met(site: Site, old: str, new: str) -> Iterator[Note]:
    """The notes on the way from one version to a newer one that concern this site."""
    for note in NOTES:
        if numbers(old) < numbers(note.version) <= numbers(new) and note.concerns(site.config.synapse.settings):
            yield note


def obstacles(site: Site, old: str, new: str) -> Iterator[Obstacle]:
    """What Synapse would not start with."""
    for note in met(site, old, new):
        if note.cure:
            yield Obstacle(f"from Synapse {note.version} on, {note.says}", note.cure)


def remarks(site: Site, old: str, new: str) -> Iterator[str]:
    """What somebody may want to know."""
    for note in met(site, old, new):
        if not note.cure:
            yield f"from Synapse {note.version} on, {note.says}"
