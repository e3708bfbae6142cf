"""Certificates on the disk: there, in time, complete, with their key; and whether they will renew themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from matrix_baremetal import rehearsal
from matrix_baremetal.checks.check import APPLY, PATIENCE, Check, shown
from matrix_baremetal.findings import Finding, State
from matrix_baremetal.host import Host
from matrix_baremetal.resources import pending
from matrix_baremetal.resources.acme import refusal
from matrix_baremetal.resources.certificates import LIVE, LOG, lineage
from matrix_baremetal.resources.elsewhere import Documents, noted
from matrix_baremetal.resources.key_pair import KeyPair, mistakes
from matrix_baremetal.resources.x509 import look, public_key

# Parts of a certificate's life that are left, and not days: lives shrink. They are renewed at a third; one with less
# than a fifth has been missed, and a week is left of ninety days at the last.
WARN, FAIL = 0.2, 7 / 90
DAY = 86400
# Three weeks, as the timer comes once in each and waits for a machine that was off.
STALE = 21 * DAY
# Where a certificate comes from says how bad it is that it does not hold.
Source = Literal["acme", "files", "self-signed"]
SEVERITY: dict[Source, State] = {"acme": "fail", "files": "warn", "self-signed": "info"}
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal"


@dataclass(frozen=True)
class Held(Check):
    """The certificate of a name, on the disk.

    `place` holds fullchain.pem and privkey.pem; it is a link. `pair` is what the operator keeps, where they do;
    `elsewhere` what another web server may answer under the name, which spares the certificate.
    """

    form = "certificates.{0.domain}"
    asks = "a name has a certificate that is in time, by its own lifetime, and none is pending"

    domain: str
    place: str
    source: Source
    pair: KeyPair | None = None
    elsewhere: Documents | None = None
    seen: dict[str, Any] | None = field(default=None, compare=False, repr=False)

    def row(self, host: Host) -> dict[str, Any]:
        """Its state, as `status --json` says it, the days it has left of its life, and why another is awaited."""
        why = self._untaken(host) or pending.note(host, self.domain).get("reason")
        row: dict[str, Any] = {"domain": self.domain, "state": "missing", "days": None, "life": None, "reason": why}
        if not why and self.elsewhere is not None and noted(host, self.domain, self.elsewhere):
            return row | {"state": "elsewhere"}
        if not host.path(f"{self.place}/fullchain.pem").exists():
            return row
        seen = look(host, f"{self.place}/fullchain.pem")
        if seen is None:
            return row | {"state": "broken"}
        selfmade = host.target(self.place) == "self-signed"
        if not selfmade:
            row |= {"days": int((seen.end - time.time()) / DAY), "life": round((seen.end - seen.begin) / DAY)}
        if seen.left < 0:
            row["state"] = "expired"
        elif why:
            row["state"] = "pending"
        elif selfmade:
            row["state"] = "self-signed"
        elif seen.begin > time.time():
            row["state"] = "not valid yet"
        else:
            row["state"] = "overdue" if seen.left < WARN else "valid"
        return row

    def _untaken(self, host: Host) -> str | None:
        """Why the operator's own pair is not what is served; None where it is, or there is none."""
        if self.pair is None or self.pair.find(host) == self.pair:
            return None
        wrong = mistakes(host, self.pair.certificate, self.pair.private_key, (self.domain,))
        return "; ".join(message for message, _ in wrong) or f"{self.pair.certificate} is not served yet"

    def look(self, host: Host) -> Finding:
        row = self.seen or self.row(host)
        state, days, life = row["state"], row["days"], row["life"]
        what = f"the certificate of {self.domain} is {state}"
        left = f"{days} of its {life} days are left"
        if state == "valid":
            return self.fine(f"{what}, {left}")
        if state == "elsewhere":
            return self.fine(f"another web server answers for {self.domain}, so no certificate is needed here")
        if state == "self-signed":
            text = f"{self.domain} is served with a self-signed certificate"
            asked_for = self.source == "self-signed"
            return self.told(text) if asked_for else self.failed(text, fix=APPLY)
        command = "matrix-baremetal apply"
        if self.pair is not None and state in ("expired", "overdue"):
            command = f"replace {self.pair.certificate} and its key, then: {command}"
        elif state == "overdue":
            command = "certbot renew"
        if state == "overdue":
            return self.found("fail" if days < FAIL * life else "warn", what, (left,), command)
        if state == "not valid yet":
            return self.failed(f"{what}: the clock of this machine is wrong", next="timedatectl")
        why = f": {row['reason']}" if row["reason"] else ""
        return self.failed(f"{what}{why}", next=command)


@dataclass(frozen=True)
class OfCertificate(Check):
    """A check of what is in the files of a certificate."""

    domain: str
    place: str

    @property
    def after(self) -> tuple[str, ...]:
        return (f"certificates.{self.domain}",)

    def file(self, host: Host, name: str) -> str:
        """Where a file of it is."""
        return str(host.path(f"{self.place}/{name}"))


@dataclass(frozen=True)
class Chain(OfCertificate):
    """Whether everybody can follow the chain from the certificate to a root, and it is for the name."""

    form = "certificates.chain.{0.domain}"
    asks = "the chain of a certificate is complete, leads to a root that this machine trusts, and holds the name"

    source: Source = "acme"

    def look(self, host: Host) -> Finding:
        if host.target(self.place) == "self-signed":
            return self.skipped(f"{self.domain} has a self-signed certificate, and those have no chain")
        chain = self.file(host, "fullchain.pem")
        seen = look(host, f"{self.place}/fullchain.pem")
        message, cure = f"the certificate of {self.domain} does not hold", "matrix-baremetal apply"
        if seen is not None and not seen.covers(self.domain):
            return self.found(SEVERITY[self.source], message, (f"it is for {', '.join(seen.names)}",), cure)
        told = host.run("openssl", "verify", "-untrusted", chain, chain, ok=range(256), timeout=PATIENCE)
        if told.status == 0:
            return self.fine(f"the chain of {self.domain} is complete and holds its name")
        lines = tuple(line for line in (told.out + told.err).splitlines() if line.startswith("error "))
        return self.found(SEVERITY[self.source], message, lines, cure)


@dataclass(frozen=True)
class Key(OfCertificate):
    """Whether certificate and key belong together: with another key nginx does not start."""

    form = "certificates.key.{0.domain}"
    asks = "a certificate and its key belong together"

    def look(self, host: Host) -> Finding:
        seen = look(host, f"{self.place}/fullchain.pem")
        words = ("pkey", "-passin", "pass:", "-pubout", "-in", self.file(host, "privkey.pem"))
        own = public_key(host.run("openssl", *words, ok=range(256), timeout=PATIENCE).out)
        if seen is not None and own and seen.public_key == own:
            return self.fine(f"certificate and key of {self.domain} belong together")
        message = f"the certificate of {self.domain} does not belong to its key"
        return self.failed(message, next=f"ls -l {self.place}/; matrix-baremetal apply")


@dataclass(frozen=True)
class Renewal(Check):
    """How the last run of certbot's timer went."""

    form = "certificates.renewal"
    asks = "the last renewal by certbot went well"

    def look(self, host: Host) -> Finding:
        rows = shown(host, "certbot.service", "Result", "ExecMainExitTimestamp")
        if rows["Result"] in ("", "success"):
            when = rows["ExecMainExitTimestamp"]
            return self.fine(f"the last renewal went well, {when}" if when else "no renewal has failed")
        why = refusal("", (host.text(LOG) or "")[-200_000:]).reason
        return self.warned("the last renewal failed", why, next="certbot renew")


@dataclass(frozen=True)
class OfLineage(Check):
    """A check of what certbot keeps of a name's certificate."""

    domain: str

    @property
    def after(self) -> tuple[str, ...]:
        return (f"certificates.{self.domain}",)

    @property
    def fullchain(self) -> str:
        """Where certbot has the certificate."""
        return f"{LIVE}/{lineage(self.domain)}/fullchain.pem"

    def none(self) -> Finding:
        """It has none."""
        return self.skipped(f"{self.domain} has no certificate by ACME here, so that there is none to renew")


@dataclass(frozen=True)
class Renewable(OfLineage):
    """Whether certbot still knows how to renew: a power cut can leave its note of that empty."""

    form = "certificates.renewable.{0.domain}"
    asks = "certbot has a note of how to renew a certificate, and it is not empty"

    def look(self, host: Host) -> Finding:
        if not host.path(self.fullchain).exists():
            return self.none()
        # Only whether something is in it: what, is certbot's own.
        place = host.path(f"/etc/letsencrypt/renewal/{lineage(self.domain)}.conf")
        if place.exists() and place.stat().st_size:
            return self.fine(f"certbot knows how to renew the certificate of {self.domain}")
        state = "empty" if place.exists() else "not there"
        message = f"certbot would not renew the certificate of {self.domain}: its note of how is {state}"
        return self.failed(message, next=f"certbot delete --cert-name {lineage(self.domain)}; matrix-baremetal apply")


@dataclass(frozen=True)
class Rehearsed(OfLineage):
    """How the last rehearsal of a renewal went."""

    form = "certificates.rehearsal.{0.domain}"
    asks = "a renewal of a certificate would go well: it is rehearsed each week"

    def look(self, host: Host) -> Finding:
        held = look(host, self.fullchain) if host.path(self.fullchain).exists() else None
        if held is None:
            return self.none()
        # An order is as good as a rehearsal: of one before it nothing is left to say.
        seen = rehearsal.read(host).get(self.domain)
        seen = seen if seen and seen.when > held.begin else None
        last = seen.when if seen else held.begin
        when, of = time.strftime("%Y-%m-%d", time.localtime(last)), f"the certificate of {self.domain}"
        if seen and seen.why:
            message = f"a renewal of {of} would fail, as a rehearsal did on {when}"
            return self.warned(message, seen.why, next="matrix-baremetal certificates rehearse")
        if time.time() - last > STALE:
            message = f"no renewal of {of} has been rehearsed since {when}"
            return self.warned(message, next="systemctl status matrix-baremetal-rehearsal.timer")
        how = "went well in a rehearsal" if seen else "is rehearsed each week; it was ordered"
        return self.fine(f"a renewal of {of} {how} on {when}")


@dataclass(frozen=True)
class Hook(Check):
    """Whether what certbot renews is served: it runs this file, if it may."""

    form = "certificates.hook"
    asks = "certbot runs our hook after a renewal"

    def look(self, host: Host) -> Finding:
        node = host.node(HOOK)
        if node is not None and node.kind == "file" and node.mode & 0o100:
            return self.fine("certbot runs our hook after a renewal")
        state = "is not there" if node is None else "can't be run"
        cure = "apt install --reinstall -o Dpkg::Options::=--force-confmiss matrix-baremetal"
        return self.failed(
            f"{HOOK} {state}: what is renewed would not be served",
            next=cure if node is None else "",
            fix=f"chmod 755 {HOOK}" if node else "",
        )


@dataclass(frozen=True)
class Account(Check):
    """Whether certbot has an account at the authority, by which it renews."""

    form = "certificates.account"
    asks = "certbot has an account at the certificate authority"

    url: str

    def look(self, host: Host) -> Finding:
        name = urlsplit(self.url).netloc
        # Only whether there is one: what is in it is certbot's own.
        if name in host.names("/etc/letsencrypt/accounts"):
            return self.fine(f"certbot has an account at {name}")
        return self.warned(f"certbot has no account at {name}", fix=APPLY)
