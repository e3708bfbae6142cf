"""Whether there is a backup to go back to."""

from __future__ import annotations

import time
from dataclasses import dataclass

from matrix_baremetal import backup_log
from matrix_baremetal.checks.check import Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

DAY = 86400
# Days: a night may be missed, by a machine that was off, say. By hand, people are reminded after a month.
LATE, LONG = 2, 30
CONFIG = "/etc/matrix-baremetal/config.yaml"
CREATE = "matrix-baremetal backup create"
# Days.
SELDOM = 90
DRILL = "matrix-baremetal backup verify --drill"
# As old as the server.
KEY = "/var/lib/matrix-synapse/signing.key"


@dataclass(frozen=True)
class Age(Check):
    """The age of the last backup that is whole, and whether one has failed since."""

    form = "backup.age"
    asks = "there is a backup that is young enough, and none has failed since"

    daily: bool

    def look(self, host: Host) -> Finding:
        seen, most = backup_log.read(host), LATE if self.daily else LONG
        last, failure = seen.get("last"), seen.get("failed")
        if failure:
            had = f"the last that is whole is {age(last['made'])} old" if last else "there is none that is whole"
            return self.warned(f"the last backup failed: {failure['why']}", had, fix=CREATE)
        if not last:
            node = host.node(CONFIG)
            new = node is not None and time.time() - node.changed < most * DAY
            message = "there is no backup yet; without one, a lost disk is a lost server name"
            return self.told(message, next=CREATE) if new else self.warned(message, fix=CREATE)
        message = f"the last backup is {age(last['made'])} old"
        if last["made"] > time.time() + DAY:
            message = "the last backup is from the future, by this machine's clock, so nobody knows how old it is"
            return self.warned(message, last["path"], fix=CREATE)
        if time.time() - last["made"] > most * DAY:
            return self.warned(
                message, last["path"], next=f"{CREATE}; systemctl status matrix-baremetal-backup", fix=CREATE
            )
        if host.node(last["path"]) is None:
            return self.told(
                f"{message}, and is not where it was made", last["path"], next="matrix-baremetal backup list"
            )
        return self.fine(message, last["path"])


@dataclass(frozen=True)
class Drill(Check):
    """Whether a backup was loaded lately, to see that a server would come of it."""

    form = "backup.drill"
    asks = "a backup was loaded and counted within three months, and the last time went well"

    encrypted: bool

    def look(self, host: Host) -> Finding:
        seen, command = backup_log.read(host).get("drill"), DRILL + (" --identity KEYFILE" if self.encrypted else "")
        if seen and seen.get("failed"):
            return self.warned(f"the last drill failed: {seen['failed']}", str(seen["path"]), next=command)
        node = host.node(KEY)
        since = seen["at"] if seen else node.changed if node else time.time()
        if time.time() - since < SELDOM * DAY:
            return self.fine(f"the last drill was {age(since)} ago" if seen else "it is early for a drill")
        when = f"the last drill was {age(since)} ago" if seen else "there was no drill yet"
        return self.told(f"{when}: that a backup can be loaded is not known", next=command)


def age(moment: float) -> str:
    """How long ago something was, in words."""
    hours = max(int(time.time() - moment), 0) // 3600
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} hours" if hours != 1 else "1 hour"
