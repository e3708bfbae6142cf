"""Who may make an account without an administrator: nobody, whoever has a token, or whoever Synapse verifies."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.component import Component
from matrix_baremetal.needs import Need, Needs, Setting
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.settings import captcha


class Registration(Component):
    """Registration by people themselves; closed, which needs nothing, unless the config opens it."""

    def wanted(self) -> bool:
        return self.config.registration != "closed"

    def needs(self) -> Iterator[Need]:
        yield Setting("enable_registration", True)
        if self.config.registration == "token":
            yield Setting("registration_requires_token", True)
        elif self.config.mail and not captcha(self.config.synapse.settings):
            yield Setting("registrations_require_3pid", ("email",))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield from ()
