"""What parts beside the homeserver have from elsewhere: where it couldn't be had, a run has gone on without."""

from __future__ import annotations

from dataclasses import dataclass, field

from matrix_baremetal import parts
from matrix_baremetal.checks.check import APPLY, Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.downloads import Download
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
        found = [(each, each.find(host)) for each in wanted]
        # A release that is another serves on; of packages the ones that are missing are told.
        missing = [each.title for each, seen in found if seen != each and not isinstance(seen, Download)]
        if missing:
            return self.failed(f"not here yet: {', '.join(missing)}", fix=APPLY)
        if others := parts.others(wanted, host):
            return self.told(f"another release is there: {parts.named(others)}", next="matrix-baremetal upgrade")
        return self.fine("what parts beside the homeserver have from elsewhere is here")
