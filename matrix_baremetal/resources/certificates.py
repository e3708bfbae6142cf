"""Certificates: a self-signed pair until there is a real one, the real one by certbot, and which of them is served.

certbot is run as a program; of its state we read only `/etc/letsencrypt/live`. Its lineages that are ours have a
name of our own, so nobody else's is ever adopted.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Pending
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.shell import Result, TimedOut

PENDING = "/var/lib/matrix-baremetal/pending"
# Seconds until the next try after the 1st, 2nd, … failure. Let's Encrypt allows five failed validations of a name
# an hour (letsencrypt.org/docs/rate-limits), and a person who mends DNS wants the certificate soon.
BACK_OFF = (900, 900, 1800, 3600, 7200, 14400, 28800)


@dataclass(frozen=True)
class SelfSigned(Resource):
    """A pair in `directory`/self-signed, so that the web server always starts, and `directory`/current if none is."""

    directory: str
    domain: str = ""

    @property
    def title(self) -> str:
        name = self.domain or self.directory.rpartition("/")[2]
        return f"self-signed certificate for {name}, for now"

    def find(self, host: Host) -> Self | None:
        # A power cut may leave names without content.
        there = all(host.read(f"{self.directory}/self-signed/{name}") for name in ("fullchain.pem", "privkey.pem"))
        return self if there and host.node(f"{self.directory}/current") else None

    def make(self, host: Host, found: Self | None) -> None:
        pair = f"{self.directory}/self-signed"
        host.remove_tree(f"{pair}.new")
        host.mkdir(f"{pair}.new", 0o700)
        host.run(
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "3650", "-subj", "/CN=not yet certified", "-addext", f"subjectAltName=DNS:{self.domain}"),
            *(
                "-keyout",
                str(host.path(f"{pair}.new/privkey.pem")),
                "-out",
                str(host.path(f"{pair}.new/fullchain.pem")),
            ),
        )
        host.run("sync", "-f", str(host.path(f"{pair}.new")))
        host.remove_tree(pair)
        host.rename(f"{pair}.new", pair)
        if host.node(f"{self.directory}/current") is None:
            host.link(f"{self.directory}/current", "self-signed")

    def undo(self, host: Host) -> None:
        host.remove_tree(f"{self.directory}/self-signed")
        host.remove(f"{self.directory}/current")
        host.remove(self.directory)


@dataclass(frozen=True)
class Served(Resource):
    """The link by which servers read a certificate: to the real one where there is one, else to the self-signed."""

    current: str
    lineage: str = field(default="", compare=False)
    best: bool = True

    @property
    def title(self) -> str:
        domain = self.current.rpartition("/")[0].rpartition("/")[2]
        return f"certificate that is served for {domain}"

    def verb(self, found: Resource | None) -> str:
        return "switch"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.current, f"{self.current}/fullchain.pem")

    def find(self, host: Host) -> Self | None:
        target = host.target(self.current)
        return None if target is None else replace(self, best=target == self._best(host))

    def make(self, host: Host, found: Self | None) -> None:
        host.link(self.current, self._best(host))

    def _best(self, host: Host) -> str:
        real = f"/etc/letsencrypt/live/{self.lineage}"
        there = self.lineage and all(
            host.path(f"{real}/{name}").exists() for name in ("fullchain.pem", "privkey.pem")
        )
        return real if there else "self-signed"


@dataclass(frozen=True)
class Certificate(Resource):
    """A certificate for one name from an ACME directory (RFC 8555), proved by a file that nginx serves (http-01).

    certbot keeps and renews it. Where it can't be had now, that is `Pending`: the reason is kept in words and a
    timer tries again, later each time.
    """

    live: ClassVar[bool] = True

    domain: str
    directory: str = ""
    webroot: str = field(default="", compare=False)
    email: str | None = field(default=None, compare=False)
    valid: bool = True

    @property
    def lineage(self) -> str:
        """What certbot calls it."""
        return lineage(self.domain)

    @property
    def title(self) -> str:
        return f"certificate for {self.domain}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (f"/etc/letsencrypt/live/{self.lineage}/fullchain.pem",)

    @property
    def note(self) -> str:
        """Where we keep which directory it came from: certbot's own files are not ours to read."""
        return f"/var/lib/matrix-baremetal/certificates/{self.domain}.json"

    def find(self, host: Host) -> Self | None:
        path = self.paths[0]
        if not host.live or not host.path(path).exists():
            return None
        seen = host.run(
            "openssl", "x509", "-in", path, "-noout", "-checkend", "0", "-ext", "subjectAltName", ok=(0, 1)
        )
        covers = f"DNS:{self.domain}" in seen.out.replace(",", " ").split()
        directory = note_of(host, self.note).get("directory", "")
        return replace(self, directory=str(directory), valid=seen.status == 0 and covers)

    def make(self, host: Host, found: Self | None) -> None:
        if found is not None and found.valid and not found.directory:
            # Without a note (a kill, a lost file) it is taken for the right one: a new order would cost a rate limit.
            self._done(host)
            return
        # Without an address the order would fail, and count against a rate limit.
        if not host.net.resolves(self.domain):
            raise self._pending(host, f"the name {self.domain} does not resolve yet; see its DNS records")
        if found is None:
            self._clear(host)
        result = self._order(host, again=found is not None)
        if result.status:
            log = (host.text("/var/log/letsencrypt/letsencrypt.log") or "")[-200_000:]
            raise self._pending(host, reason(result.out + result.err, log))
        if not host.path(self.paths[0]).exists():
            raise self._pending(host, f"certbot left no {self.paths[0]}; see: certbot certificates")
        self._done(host)

    def _done(self, host: Host) -> None:
        # In this order: a kill in between leaves a certificate without a note, and the next run writes it.
        host.remove(f"{PENDING}/{self.domain}")
        host.mkdir(self.note.rpartition("/")[0], 0o755)
        host.write(self.note, json.dumps({"directory": self.directory}) + "\n", 0o644)

    def _order(self, host: Host, *, again: bool) -> Result:
        account = ("--email", self.email, "--no-eff-email") if self.email else ("--register-unsafely-without-email",)
        try:
            return host.run(
                *("certbot", "certonly", "--non-interactive", "--agree-tos", *account, "--server", self.directory),
                *("--webroot", "--webroot-path", self.webroot, "--cert-name", self.lineage, "--domain", self.domain),
                # We look at what reads it ourselves, at first issuance too; the hook is for renewals.
                *("--keep-until-expiring", "--no-directory-hooks", *(("--force-renewal",) if again else ())),
                ok=range(256),
                timeout=600,
            )
        except TimedOut:
            raise self._pending(host, "the certificate authority took longer than ten minutes") from None

    def _clear(self, host: Host) -> None:
        """Take away what a certbot that was cut off left under our name: beside it, it would number its next one."""
        host.remove(f"/etc/letsencrypt/renewal/{self.lineage}.conf")
        for place in ("live", "archive"):
            host.remove_tree(f"/etc/letsencrypt/{place}/{self.lineage}")

    def undo(self, host: Host) -> None:
        # It can be had again, and certbot would go on trying to renew it under a name that may point elsewhere.
        if host.live and host.path(self.paths[0]).exists():
            host.run("certbot", "delete", "--non-interactive", "--cert-name", self.lineage)
        host.remove(self.note)
        host.remove(f"{PENDING}/{self.domain}")

    def _pending(self, host: Host, why: str) -> Pending:
        path = f"{PENDING}/{self.domain}"
        failures = int(note_of(host, path).get("failures", 0)) + 1
        wait = BACK_OFF[min(failures, len(BACK_OFF)) - 1]
        row = {"reason": why, "failures": failures, "last": int(time.time()), "next": int(time.time()) + wait}
        host.mkdir(PENDING, 0o755)
        host.write(path, json.dumps(row) + "\n", 0o644)
        return Pending(why)

    def due(self, host: Host) -> bool:
        """Whether the timer should try it now: it is pending, and its wait is over."""
        row = note_of(host, f"{PENDING}/{self.domain}")
        return bool(row) and time.time() >= float(row.get("next", 0))


def lineage(domain: str) -> str:
    """What certbot calls our certificate for a name."""
    return f"matrix-baremetal-{domain}"


def note_of(host: Host, path: str) -> dict[str, float | str]:
    """A small JSON object that we keep; empty where there is none or it is broken."""
    try:
        row = json.loads(host.text(path) or "{}")
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


# The error types of RFC 8555 §6.7, in words.
WORDS = {
    "dns": "the certificate authority cannot find the name in DNS",
    "connection": "the certificate authority cannot reach port 80 of this machine under that name",
    "unauthorized": "another web server answered under that name",
    "caa": "the domain's CAA record forbids this certificate authority",
    "rateLimited": "the certificate authority's rate limit is reached",
    "rejectedIdentifier": "the certificate authority gives no certificates for this name",
    "badNonce": "the certificate authority was busy",
}


def reason(output: str, log: str) -> str:
    """Why certbot failed, in words: from what it printed, else from the end of its log.

    certbot 2.1 can hide an ACME failure behind an AttributeError; the log has the authority's own answer then.
    """
    for text in (output, log):
        kinds = re.findall(r"^\s*Type:\s+(\w+)", text, re.M) or re.findall(r"urn:ietf:params:acme:error:(\w+)", text)
        details = re.findall(r"^\s*Detail:\s+(.+)$", text, re.M) or re.findall(
            r'"detail":\s*"((?:[^"\\]|\\.)+)"', text
        )
        if kinds:
            # The last: certbot gets over a badNonce, and says it all the same.
            said = ": " + details[-1].strip().replace('\\"', '"') if details else ""
            return WORDS.get(kinds[-1], f"the certificate authority said {kinds[-1]}") + said
    if "Another instance of Certbot" in output:
        return "another certbot is at work on this machine"
    if re.search(
        r"ConnectionError|NewConnectionError|Max retries|timed out|Network is unreachable", output + log[-5000:]
    ):
        return "the certificate authority cannot be reached from this machine"
    lines = [line.strip() for line in output.splitlines() if line.strip() and not line.startswith(("Saving", "Ask"))]
    return f"certbot failed: {lines[-1] if lines else 'see /var/log/letsencrypt/letsencrypt.log'}"
