"""Registration that has an end: what stands in Synapse's config, and what closes it when the time has come.

Synapse takes up whether people may register at its start alone. So start-synapse looks at the clock and at the note
that is left here, and a timer has it started anew at that moment. Neither reads config.yaml: what somebody has begun
to write there keeps nothing open, and nothing else of it is carried out.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.resources.systemd import shown

SYNAPSE = "matrix-synapse.service"
HOMESERVER = "/etc/matrix-synapse/homeserver.yaml"
# In homeserver.yaml, for start-synapse and for us; Synapse passes over what it does not know.
KEY = "matrix_baremetal_registration_until"
FORM = "%Y-%m-%d %H:%M:%S UTC"
PLACE = "/var/lib/matrix-baremetal/registration"
# Which end has come: a clock that goes back later, or comes up wrong after a boot, opens nothing.
CLOSED = f"{PLACE}/closed"
# Seconds.
PATIENCE = 120


def written(moment: datetime) -> str:
    """A moment as the config of Synapse, the timer and the note have it."""
    return moment.astimezone(UTC).strftime(FORM)


def asked(host: Host) -> str | None:
    """The end that Synapse's config has, as text."""
    found = re.search(rf"^{KEY}: '?([^'\n]+)'?$", host.text(HOMESERVER) or "", re.MULTILINE)
    return found[1] if found else None


def over(host: Host, end: str) -> bool:
    """Whether an end has come: by the clock, or as noted once. What can't be read as a time is over."""
    try:
        moment = datetime.strptime(end, FORM).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return True
    return time.time() >= moment or noted(host) == end


def noted(host: Host) -> str:
    """The end that has come already."""
    return (host.text(CLOSED) or "").strip()


def closed(host: Host) -> bool:
    """Whether the homeserver lets nobody register."""
    return host.net.ask("POST", PORT, "/_matrix/client/v3/register", {}, timeout=5).status == 403


def close(host: Host) -> str | None:
    """Start Synapse anew where the end has come and it is open still; a sentence where it did that.

    Raises `Error` where it is open after that, or does not say.
    """
    end = asked(host)
    if end is None or not over(host, end):
        return None
    shut = shown(host, SYNAPSE, "ActiveState")["ActiveState"] in ("inactive", "failed") or closed(host)
    if not shut:
        host.run("systemctl", "try-restart", SYNAPSE, timeout=1900)
        await_closed(host, end)
    # Last, as a full disk is no reason to stay open.
    host.mkdir(PLACE, 0o755)
    host.write(CLOSED, f"{end}\n", 0o644)
    return None if shut else f"registration is closed since {end}"


def await_closed(host: Host, end: str) -> None:
    """Wait until it says so. Raises `Error` where it does not."""
    until = time.monotonic() + PATIENCE
    while not closed(host):
        if time.monotonic() > until:
            raise Error(f"registration should be closed since {end}, and is not", hint="matrix-baremetal status")
        time.sleep(0.2)
