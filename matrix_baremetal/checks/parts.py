"""What parts beside the homeserver have from elsewhere: where it couldn't be had, a run has gone on without."""

from __future__ import annotations

from dataclasses import dataclass, field

from matrix_baremetal.checks.check import APPLY, Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource

ID = "parts"


@dataclass(frozen=True)
class Parts(Check):
    """Releases of other makers and Debian packages that the homeserver itself does without."""

    form = ID
    asks = "what parts beside the homeserver have from elsewhere is here: releases of their makers, Debian packages"

    resources: tuple[Resource, ...] = field(repr=False)

    def look(self, host: Host) -> Finding:
        wanted = tuple(each for each in self.resources if each.spare)
        missing = [each.title for each in wanted if each.find(host) != each]
        if missing:
            return self.failed(f"not here yet: {', '.join(missing)}", fix=APPLY)
        return self.fine("what parts beside the homeserver have from elsewhere is here")
