"""The administrators that the config names."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.component import SECRETS, Component
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.synapse import SHARED_SECRET
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.files import readable_text
from matrix_baremetal.resources.matrix import Account
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.site import Site

PASSWORDS = f"{SECRETS}/passwords"


class Users(Component):
    """Accounts of administrators, made where they are missing; a password is never changed here."""

    def wanted(self) -> bool:
        return bool(self.config.admins)

    def resources(self, needs: Needs) -> Iterator[Resource]:
        for admin in self.config.admins:
            by_hash = admin.password_hash or ""
            yield account(self.site, admin.name, admin=True, password_file=admin.password_file, password_hash=by_hash)

    def data(self, needs: Needs) -> Data:
        return Data((), tuple(admin.password_file for admin in self.config.admins if admin.password_file))


def account(site: Site, name: str, *, admin: bool, password_file: str | None, password_hash: str = "") -> Account:
    """An account; with neither a password file nor a hash, one with an invented password that root can read."""
    return Account(
        f"@{name}:{site.config.server_name}",
        admin,
        store=site.store(USER),
        secret_file=SHARED_SECRET,
        password_file="" if password_hash else password_file or f"{PASSWORDS}/{name}",
        invent=None if password_file or password_hash else password,
        password_hash=password_hash,
    )


def password() -> str:
    """A password that a person can read aloud and type on a phone: a hundred bits."""
    return readable_text(20, 5)
