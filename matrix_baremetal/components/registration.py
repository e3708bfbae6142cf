"""Who may make an account without an administrator: nobody, whoever has a token, or whoever Synapse verifies; and
until when, or how long without an administrator.

Nothing here depends on what time it is: the same is declared before the end and after it, so that `plan` has nothing
to say once it has come. What closes registration then is in `closing`.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.closing import DAYS, KEY
from matrix_baremetal.components.component import Component, service_reads
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.needs import Need, Needs, Setting
from matrix_baremetal.resources.files import Directory, File, Scratch
from matrix_baremetal.resources.opening import OPENED, PLACE, Opening, written
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.settings import captcha

TIMER = "matrix-baremetal-registration.timer"
DROP_INS = f"/etc/systemd/system/{TIMER}.d"
TIMED = """\
# Written by matrix-baremetal: when registration closes. Edit instead: registration.{} in
# /etc/matrix-baremetal/config.yaml, then run: matrix-baremetal apply
[Timer]
"""


class Registration(Component):
    """Registration by people themselves; closed, which needs nothing, unless the config opens it."""

    def wanted(self) -> bool:
        return self.config.opening.mode != "closed"

    def needs(self) -> Iterator[Need]:
        yield Setting("enable_registration", True)
        if self.site.closes:
            yield Setting(KEY, written(self.site.closes))
        if days := self.config.opening.unattended_days:
            yield Setting(DAYS, days)
        if self.config.opening.mode == "token":
            yield Setting("registration_requires_token", True)
        elif self.config.mail and not captcha(self.config.synapse.settings):
            yield Setting("registrations_require_3pid", ("email",))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        until, days = self.site.closes, self.config.opening.unattended_days
        if not until and not days:
            return
        # All of it before Synapse: what starts too late to be seen by the timer sees the end itself.
        yield Scratch(PLACE, 0o755)
        if days:
            yield Opening(OPENED, days, self.site.store(USER))
        times = [*([written(until)] if until else []), *(["hourly"] if days else [])]
        head = TIMED.format("until" if until else "unattended_days")
        yield Directory(DROP_INS, 0o755)
        yield File(f"{DROP_INS}/50-matrix-baremetal.conf", head + "".join(f"OnCalendar={each}\n" for each in times))
        yield Service(TIMER, reads=service_reads(TIMER))
