"""How mail leaves this server: addresses that are verified, forgotten passwords, and what somebody missed.

Synapse hands it to a mail server that the operator names; nothing here receives any.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix_baremetal.checks import mail
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import ETC, Component
from matrix_baremetal.config_mail import Smtp
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Need, Needs, Setting
from matrix_baremetal.resources.resource import Resource

# It stands for the password until the file is written.
PASSWORD = "the-password-of-the-mail-server"
# The port where TLS begins with the first byte (RFC 8314); elsewhere it begins with STARTTLS.
IMPLICIT = 465


class Mail(Component):
    """A setting of Synapse's, and a look at the mail server."""

    def wanted(self) -> bool:
        return self.config.mail is not None

    def needs(self) -> Iterator[Need]:
        if smtp := self._smtp:
            secrets = ((PASSWORD, smtp.password_file),) if smtp.password_file else ()
            yield Setting("email", self._email(smtp), secrets)

    @property
    def _smtp(self) -> Smtp | None:
        return self.config.mail.smtp if self.config.mail else None

    def _email(self, smtp: Smtp) -> dict[str, Any]:
        """Synapse's config manual, under email."""
        login = {"smtp_user": smtp.user, "smtp_pass": PASSWORD} if smtp.user else {}
        safe = smtp.encryption == "required"
        return {
            "smtp_host": smtp.host,
            "smtp_port": smtp.port,
            **login,
            "force_tls": safe and smtp.port == IMPLICIT,
            "require_transport_security": safe,
            "enable_tls": safe,
            "notif_from": f"%(app)s <{smtp.from_}>",
            "app_name": self.config.server_name,
            "enable_notifs": True,
            # Whoever gives an address has not asked for mail about every message.
            "notif_for_new_users": False,
        }

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield from ()

    def data(self, needs: Needs) -> Data:
        path = (self._smtp and self._smtp.password_file) or ""
        # Not just any file of the machine, as the config of an archive that somebody made could name it.
        return Data((path,)) if path.startswith(f"{ETC}/") else Data()

    def checks(self, needs: Needs) -> Iterator[Check]:
        if smtp := self._smtp:
            yield mail.Server(smtp.host, smtp.port, encryption(smtp), smtp.user or "", smtp.password_file or "")


def encryption(smtp: Smtp) -> str:
    """How the mail server is spoken to."""
    return "none" if smtp.encryption == "none" else "tls" if smtp.port == IMPLICIT else "starttls"
