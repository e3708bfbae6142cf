"""A home line's names: Debian's ddclient tells the DNS provider when the address has changed.

Debian's own unit starts with whatever is in /etc/ddclient.conf, which is the administrator's. So that unit is masked,
and a timer of ours runs ddclient with a config of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from matrix_baremetal.checks import ddns as checks
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import ETC as OURS
from matrix_baremetal.components.component import Component, service_reads
from matrix_baremetal.config_ddns import Ddns as Wanted
from matrix_baremetal.data import Data
from matrix_baremetal.ddns_run import CONFIG, ETC, PLACE, SETTINGS, USER
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.files import Directory, File, Scratch
from matrix_baremetal.resources.filled import Filled
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

TIMER, UNIT = "matrix-ddns.timer", "matrix-ddns.service"
DEBIANS = "ddclient.service"
# It stands for the password until the file is written.
PASSWORD = "the-password-of-the-dns-provider"
# By which protocol ddclient speaks to which provider, and where: as the help of each says.
PROVIDERS = {
    "dynu": ("dyndns2", "api.dynu.com"),
    "no-ip": ("noip", "dynupdate.no-ip.com"),
    "duckdns": ("duckdns", "www.duckdns.org"),
}
# Over TLS, and by IPv4 alone. The second is for when the first is silent.
PAGES = ("https://api.ipify.org/", "https://ipv4.nsupdate.info/myip")


class Ddns(Component):
    """ddclient with a config of ours, and the timer that runs it."""

    def wanted(self) -> bool:
        return self.config.ddns is not None

    def resources(self, needs: Needs) -> Iterator[Resource]:
        if not (wanted := self.config.ddns):
            return
        yield SystemUser(USER)
        # Before the package comes.
        yield Mask(DEBIANS)
        # Debian 13's speaks TLS by curl, which comes with it.
        tls = () if self.site.facts.release > 12 else ("libio-socket-ssl-perl",)
        yield Packages("dynamic DNS", ("ddclient", *tls), beside=True)
        yield Directory(ETC, 0o755)
        yield Scratch(PLACE, 0o700, USER, USER)
        yield File(SETTINGS, json.dumps(settings(wanted), indent=2) + "\n")
        yield Filled(CONFIG, rendered(wanted), 0o600, secrets=((PASSWORD, wanted.password_file),), quoted=False)
        yield Service(TIMER, reads=(SETTINGS, CONFIG, *service_reads(TIMER), *service_reads(UNIT)))

    def data(self, needs: Needs) -> Data:
        path = self.config.ddns.password_file if self.config.ddns else ""
        # Not just any file of the machine, as the config of an archive that somebody made could name it.
        return Data((path,)) if path.startswith(f"{OURS}/") else Data()

    def checks(self, needs: Needs) -> Iterator[Check]:
        if wanted := self.config.ddns:
            yield checks.Told()
            for name in wanted.hostnames:
                yield checks.Follows(name)


def settings(wanted: Wanted) -> dict[str, object]:
    """What the run of ours reads."""
    auto = wanted.address == "auto"
    return {"names": list(wanted.hostnames), "pages": list(PAGES) if auto else [wanted.address], "own": auto}


def rendered(wanted: Wanted) -> str:
    """ddclient's config; a password on a line of its own, as it takes all between the first quote and the last."""
    protocol, server = PROVIDERS.get(wanted.provider, ("dyndns2", wanted.server))
    login = f", login={wanted.user}" if wanted.user else ""
    return (
        "# Written by matrix-baremetal; a change here is undone by the next run.\n"
        f"ssl=yes\nprotocol={protocol}, server={server}{login}\n"
        f"password='{PASSWORD}'\n{','.join(wanted.hostnames)}\n"
    )
