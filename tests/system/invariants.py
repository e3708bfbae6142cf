"""What must hold of a site after anything that goes wrong (docs/design.md §10)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.site import MESSAGE, Site

_INSIDE = (Path(__file__).parent / "inside.py").read_text()


def hold(site: Site) -> None:
    """All of them. Looks in from outside too: what was there before is there, and can be read by whom it was for."""
    nothing_to_do(site)
    findings(site)
    remembered(site)
    status = site.status()
    assert status["ready"], status
    assert not status["faults"], status["faults"]
    failed = site.guest.run("systemctl --failed --plain --no-legend").stdout
    assert failed == "", failed


def nothing_to_do(site: Site) -> None:
    """Another run changes nothing and starts nothing."""
    before = site.runs()
    assert site.planned() == set()
    assert "Nothing was changed" in site.mb("apply").stdout
    assert site.runs() == before


def findings(site: Site) -> None:
    """No secret where it doesn't belong, no file half-written, nothing left behind, no mode too wide."""
    assert found(site) == []


def found(site: Site) -> list[str]:
    """A sentence for each of these."""
    rows: list[str] = json.loads(site.guest.run(["python3", "-I", "-"], input=_INSIDE).stdout)
    return rows


def remembered(site: Site) -> None:
    """A user from before logs in and reads the message from before; the server is who it was."""
    before = site.before
    if before is None:
        return
    assert site.signing_key() == before["signing_key"]
    bob = site.login("bob")
    assert (f"@alice:{site.server_name}", MESSAGE) in bob.messages(before["room"])
