"""People of a directory (LDAP) log in with the password that they have there; the first login makes an account.

Synapse's own module does it (matrix-synapse-ldap3; units/matrix_baremetal_ldap.py has what differs of it). Accounts
that are made here go on as they are beside those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix_baremetal.checks import ldap
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import ETC, SECRETS, Component
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.config_ldap import Ldap as Asked
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Module, Need, Needs, Setting
from matrix_baremetal.release import OPT
from matrix_baremetal.resources.filled import SecretCopy
from matrix_baremetal.resources.resource import Resource

# A copy, as the operator's own may go away, and Synapse would not start without it.
FILE = f"{SECRETS}/ldap_password"


class Ldap(Component):
    """A module of Synapse's, and a look at the directory."""

    def wanted(self) -> bool:
        return self.config.ldap is not None

    def needs(self) -> Iterator[Need]:
        if asked := self.config.ldap:
            yield Module("ldap")
            path = self._password_file
            secret = SecretCopy(FILE, path)
            yield Setting("modules", module(asked), files=(secret,) if path else (), many=True)

    @property
    def _password_file(self) -> str:
        return (self.config.ldap and self.config.ldap.password_file) or ""

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield from ()

    def data(self, needs: Needs) -> Data:
        path = self._password_file
        # Not just any file of the machine, as the config of an archive that somebody made could name it.
        return Data((path,)) if path.startswith(f"{ETC}/") else Data()

    def checks(self, needs: Needs) -> Iterator[Check]:
        if asked := self.config.ldap:
            yield ldap.Directory(asked, python=f"{OPT}/current/bin/python", user=USER)


def module(asked: Asked) -> dict[str, Any]:
    """By the README of matrix-synapse-ldap3, which passes over what it doesn't know."""
    login = {"bind_dn": asked.bind_dn, "bind_password_file": FILE} if asked.bind_dn else {}
    attributes = {"uid": asked.attributes.user, "name": asked.attributes.name, "mail": asked.attributes.mail}
    config = {
        "enabled": True,
        "mode": "search",
        "uri": asked.server,
        "start_tls": asked.begins,
        # Of both: who signed the certificate, and whose it is.
        "validate_cert": True,
        "base": asked.base,
        **login,
        "attributes": attributes,
        **({"filter": asked.filter} if asked.filter else {}),
    }
    return {"module": "matrix_baremetal_ldap.Directory", "config": config}
