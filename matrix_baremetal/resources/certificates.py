"""Certificates by ACME, which certbot orders and renews.

certbot is run as a program; of its state we read only `/etc/letsencrypt/live` and its log. Its lineages that are ours
have a name of our own, so nobody else's is ever adopted. Which certificate is served is decided in `served`.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Pending
from matrix_baremetal.host import Host
from matrix_baremetal.net import public
from matrix_baremetal.resources import elsewhere, pending
from matrix_baremetal.resources.acme import Refusal, refusal
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.x509 import look
from matrix_baremetal.shell import TimedOut

LOG = "/var/log/letsencrypt/letsencrypt.log"


@dataclass(frozen=True)
class Certificate(Resource):
    """A certificate for one name from an ACME directory (RFC 8555).

    That the name is ours is proved by a file that nginx serves (http-01), or by a record that a plugin of certbot
    puts into DNS (`dns_plugin`; dns-01). certbot keeps and renews the certificate, the same way as it was ordered.
    Where it can't be had now, that is `Pending`: the reason is kept in words and a timer tries again, later each
    time. `staging` is a directory of the same authority to rehearse in, `addresses` are those of this machine that
    the internet can reach, and `served` is where a server reads it. Where another web server answers `elsewhere`
    under the name, none is needed.
    """

    live: ClassVar[bool] = True

    domain: str
    directory: str = ""
    dns_plugin: str = ""
    dns_propagation: int = 0
    credentials: str = field(default="", compare=False)
    webroot: str = field(default="", compare=False)
    email: str | None = field(default=None, compare=False)
    staging: str = field(default="", compare=False)
    addresses: tuple[str, ...] = field(default=(), compare=False)
    served: str = field(default="", compare=False)
    elsewhere: elsewhere.Documents | None = field(default=None, compare=False)
    valid: bool = True
    waits: bool = False

    @property
    def lineage(self) -> str:
        """What certbot calls it."""
        return lineage(self.domain)

    @property
    def title(self) -> str:
        return f"certificate for {self.domain}"

    @property
    def paths(self) -> tuple[str, ...]:
        made = f"{LIVE}/{self.lineage}/fullchain.pem"
        return (made, f"{self.served}/fullchain.pem") if self.served else (made,)

    @property
    def note(self) -> str:
        """Where we keep what it was ordered from and how: certbot's own files are not ours to read."""
        return f"/var/lib/matrix-baremetal/certificates/{self.domain}.json"

    def find(self, host: Host) -> Self | None:
        path = self.paths[0]
        if host.live and self.elsewhere is not None and elsewhere.noted(host, self.domain, self.elsewhere):
            return self
        if not host.live or not host.path(path).exists():
            return None
        seen, note = look(host, path), pending.note_of(host, self.note)
        return replace(
            self,
            directory=str(note.get("directory", "")),
            dns_plugin=str(note.get("dns_plugin", "")),
            dns_propagation=int(pending.number(note, "dns_propagation")),
            valid=seen is not None and seen.left > 0 and seen.covers(self.domain),
            waits=bool(pending.note(host, self.domain)),
        )

    def make(self, host: Host, found: Self | None) -> None:
        if found is not None and found.valid and (not found.directory or replace(found, waits=False) == self):
            # Without a note (a kill, a lost file) it is taken for the right one: a new order would cost a rate limit.
            # And what is pending may be asked for no more, as the config is again as it was.
            self._done(host)
            return
        if self.elsewhere is not None and self._answered(host):
            return
        self._hold(host)
        if found is None:
            self._clear(host)
        self._rehearse(host)
        if no := self._certbot(host, "--server", self.directory, *(("--force-renewal",) if found else ())):
            raise self._pending(host, no)
        if not host.path(self.paths[0]).exists():
            raise self._pending(host, Refusal(f"certbot left no {self.paths[0]}; see: certbot certificates"))
        self._done(host)

    def _answered(self, host: Host) -> bool:
        """Whether another web server answers in our place. Raises `Pending` where it answers otherwise."""
        seen = elsewhere.ask(host, self.domain, self.elsewhere or (), self.served)
        if seen.fault:
            # No order: the authority would ask that web server, and count the failure.
            raise self._pending(host, Refusal(seen.fault), tried=False)
        if seen.there:
            self._delete(host)
            pending.settled(host, self.domain)
            elsewhere.note(host, self.domain, self.elsewhere or ())
        return seen.there

    def _hold(self, host: Host) -> None:
        """Stay away from an authority that would only say no."""
        if until := pending.held(host, self.domain, self.directory):
            why, when = pending.note(host, self.domain).get("reason"), time.localtime(until)
            raise Pending(f"{why} (it is not to be asked before {time.strftime('%Y-%m-%d %H:%M', when)})")
        if not self.dns_plugin and (
            astray := misdirected(self.domain, host.net.addresses(self.domain), self.addresses)
        ):
            # A failed validation would count against a rate limit.
            see = "its DNS records" + ("" if self.elsewhere is None else ", or: matrix-baremetal show well-known")
            raise self._pending(host, Refusal(f"{astray}; see {see}"), tried=False)

    def _rehearse(self, host: Host) -> None:
        """Once refused, order from `staging` first, as often as it takes: failures are cheap there.

        Where that can't be reached, the real order says more.
        """
        if not self.staging or not pending.note(host, self.domain).get("refused"):
            return
        if (no := self._certbot(host, "--dry-run", "--server", self.staging)) and no.asked:
            raise self._pending(host, no)

    def _done(self, host: Host) -> None:
        # In this order: a kill in between leaves a certificate without a note, and the next run writes it.
        elsewhere.forget(host, self.domain)
        pending.settled(host, self.domain)
        names = ("directory", "dns_plugin", "dns_propagation")
        row = {name: value for name in names if (value := getattr(self, name))}
        host.mkdir(self.note.rpartition("/")[0], 0o755)
        host.write(self.note, json.dumps(row) + "\n", 0o644)

    def _certbot(self, host: Host, *words: str) -> Refusal | None:
        """Let certbot order, and say why it could not."""
        account = ("--email", self.email, "--no-eff-email") if self.email else ("--register-unsafely-without-email",)
        return certbot(
            host,
            *("certonly", "--agree-tos", *account, *self._challenge()),
            *("--cert-name", self.lineage, "--domain", self.domain, *words),
            # We look at what reads it ourselves, at first issuance too; the hook is for renewals.
            *("--keep-until-expiring", "--no-directory-hooks"),
            wait=self.dns_propagation,
            dns=bool(self.dns_plugin),
        )

    def rehearse(self, host: Host) -> Refusal | None:
        """Let certbot renew it, the way it will, but keep nothing; say why it could not."""
        words = ("--cert-name", self.lineage, "--dry-run", "--no-random-sleep-on-renew", "--no-directory-hooks")
        return certbot(host, "renew", *words, wait=self.dns_propagation, dns=bool(self.dns_plugin))

    def _challenge(self) -> tuple[str, ...]:
        """certbot's options for the way in which a name is proved; it keeps them for renewals."""
        if not self.dns_plugin:
            return "--webroot", "--webroot-path", self.webroot
        plugin = f"dns-{self.dns_plugin}"
        wait = (f"--{plugin}-propagation-seconds", str(self.dns_propagation)) if self.dns_propagation else ()
        return "--authenticator", plugin, f"--{plugin}-credentials", self.credentials, *wait

    def _clear(self, host: Host) -> None:
        """Take away what a certbot that was cut off left under our name: beside it, it would number its next one."""
        host.remove(f"/etc/letsencrypt/renewal/{self.lineage}.conf")
        for place in ("live", "archive"):
            host.remove_tree(f"/etc/letsencrypt/{place}/{self.lineage}")

    def undo(self, host: Host) -> None:
        self._delete(host)
        host.remove(self.note)
        elsewhere.forget(host, self.domain)
        pending.settled(host, self.domain)

    def _delete(self, host: Host) -> None:
        # It can be had again, and certbot would go on trying to renew it under a name that may point elsewhere.
        if host.live and host.path(self.paths[0]).exists():
            host.run("certbot", "delete", "--non-interactive", "--cert-name", self.lineage)

    def _pending(self, host: Host, no: Refusal, *, tried: bool = True) -> Pending:
        directory, name = self.directory, self.domain
        pending.postpone(host, name, no.reason, directory=directory, tried=tried, refused=no.asked, wait=no.wait)
        elsewhere.forget(host, name)
        return Pending(no.reason)

    def due(self, host: Host) -> bool:
        """Whether the timer should look at it now: its wait is over, or an answer from elsewhere is a day old."""
        return pending.due(host, self.domain) or elsewhere.old(host, self.domain)


def certbot(host: Host, *words: str, wait: int, dns: bool) -> Refusal | None:
    """Run certbot, and say why it failed; `wait` are the seconds that it waits for the DNS."""
    # Debian's certbot goes on in the same file (max-log-backups = 0): what was there is not about this order.
    before = len(host.read(LOG) or b"")
    try:
        result = host.run("certbot", *words, "--non-interactive", ok=range(256), timeout=600 + wait)
    except TimedOut:
        return Refusal("the certificate authority took longer than ten minutes")
    if result.status == 0:
        return None
    log = host.read(LOG) or b""
    log = log[before:] if len(log) >= before else log
    return refusal(result.out + result.err, log.decode("utf-8", "replace"), dns=dns)


LIVE = "/etc/letsencrypt/live"


def lineage(domain: str) -> str:
    """What certbot calls our certificate for a name."""
    return f"matrix-baremetal-{domain}"


def misdirected(domain: str, found: tuple[str, ...], ours: tuple[str, ...]) -> str | None:
    """Why a name does not lead to this machine, as far as can be known; None where it does or may.

    Behind NAT the addresses of this machine say nothing about where it is reached, and so for IPv4 and IPv6 each. Nor
    does what /etc/hosts or a DNS server of the place says instead of the world's: 127.0.1.1 is Debian's habit.
    """
    if not found:
        return f"the name {domain} does not resolve yet"
    known = {":" in address for address in ours}
    if any(address in ours or (":" in address) not in known or not public((address,)) for address in found):
        return None
    return f"the name {domain} leads to {', '.join(found)}, and this machine is {', '.join(ours)}"
