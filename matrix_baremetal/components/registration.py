"""Who may make an account without an administrator: nobody, whoever has a token, or whoever Synapse verifies; and
until when.

Nothing here depends on what time it is: the same is declared before the end and after it, so that `plan` has nothing
to say once it has come. What closes registration then is in `closing`.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.closing import KEY, PLACE, written
from matrix_baremetal.components.component import Component, service_reads
from matrix_baremetal.needs import Need, Needs, Setting
from matrix_baremetal.resources.files import Directory, File, Scratch
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.settings import captcha

TIMER = "matrix-baremetal-registration.timer"
DROP_INS = f"/etc/systemd/system/{TIMER}.d"
TIMED = """\
# Written by matrix-baremetal: when registration closes. Edit instead: registration.until in
# /etc/matrix-baremetal/config.yaml, then run: matrix-baremetal apply
[Timer]
OnCalendar={}
"""


class Registration(Component):
    """Registration by people themselves; closed, which needs nothing, unless the config opens it."""

    def wanted(self) -> bool:
        return self.config.opening.mode != "closed"

    def needs(self) -> Iterator[Need]:
        yield Setting("enable_registration", True)
        if self.site.closes:
            yield Setting(KEY, written(self.site.closes))
        if self.config.opening.mode == "token":
            yield Setting("registration_requires_token", True)
        elif self.config.mail and not captcha(self.config.synapse.settings):
            yield Setting("registrations_require_3pid", ("email",))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        # All of it before Synapse: what starts too late to be seen by the timer sees the end itself.
        if self.site.closes:
            yield Scratch(PLACE, 0o755)
            yield Directory(DROP_INS, 0o755)
            yield File(f"{DROP_INS}/50-matrix-baremetal.conf", TIMED.format(written(self.site.closes)))
            yield Service(TIMER, reads=service_reads(TIMER))
