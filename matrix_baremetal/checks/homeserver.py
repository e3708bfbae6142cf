"""Synapse itself: is it ready, is it the version that it should be, does it let in who it should."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from matrix_baremetal import federation
from matrix_baremetal.checks.check import APPLY, PATIENCE, Check, last_lines
from matrix_baremetal.checks.database import REACHABLE
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.resources.matrix import Homeserver
from matrix_baremetal.resources.python import Virtualenv
from matrix_baremetal.versions import Known, numbers

READY = "synapse.ready"
RUNS = "units.matrix-synapse"
# Seconds.
MENDING = 0.5
# What a log's line says in words: the module, the level, the message; or what ended a traceback.
WORDS = re.compile(r"[\w.]+ - (?:WARNING|ERROR|CRITICAL) - |[\w.]+(?:Error|Exception): ")
# Bits of a secret that nobody guesses, as characters of base64.
LONG = 32


@dataclass(frozen=True)
class Ready(Check):
    """Whether the homeserver answers a request for which it needs its database."""

    form = READY
    asks = "the homeserver answers a request that needs its database"

    homeserver: Homeserver

    @property
    def after(self) -> tuple[str, ...]:
        return (RUNS, REACHABLE)

    def look(self, host: Host) -> Finding:
        # After an outage of the database each connection that died fails one request, and is made anew.
        until = time.monotonic() + MENDING
        while self.homeserver.find(host) != self.homeserver:
            if time.monotonic() > until:
                lines = [line for line in last_lines(host, self.homeserver.unit, 40) if WORDS.match(line)]
                message = "the homeserver does not answer"
                return self.failed(message, *lines[-4:], next="journalctl -u matrix-synapse")
            time.sleep(0.02)
        return self.fine("the homeserver answers, with its database")


@dataclass(frozen=True)
class Version(Check):
    """The version that runs, against the one that is declared and the oldest without known holes."""

    form = "synapse.version"
    asks = "the Synapse that runs is the one that is installed, and has no known serious holes"

    declared: str
    minimum: str
    newer: tuple[Known, ...] = ()

    @property
    def after(self) -> tuple[str, ...]:
        return (RUNS,)

    def look(self, host: Host) -> Finding:
        answer = host.net.ask("GET", PORT, "/_synapse/admin/v1/server_version", timeout=PATIENCE)
        runs = str(answer.data.get("server_version", "")).split(" ")[0]
        if not runs:
            return self.skipped(f"the homeserver does not say its version ({answer.error}): see {READY}")
        if numbers(runs) < numbers(self.minimum):
            message = f"Synapse {runs} runs, and all before {self.minimum} have known, serious holes"
            return self.failed(message, next="matrix-baremetal upgrade")
        if runs != self.declared:
            return self.warned(f"Synapse {runs} runs, not {self.declared}", fix=APPLY)
        if any(each.security for each in self.newer):
            message = f"Synapse {runs} runs, and {self.newer[0].version} mends holes in it"
            return self.warned(message, next="matrix-baremetal upgrade")
        if self.newer:
            return self.told(
                f"Synapse {runs} runs, and {self.newer[0].version} is there", next="matrix-baremetal upgrade"
            )
        return self.fine(f"Synapse {runs} runs")


@dataclass(frozen=True)
class Advisory(Check):
    """What is installed against the oldest without known, serious holes, whether it runs or not."""

    form = "synapse.advisory"
    asks = "the Synapse that is installed has no known serious holes"

    link: str
    minimum: str

    def look(self, host: Host) -> Finding:
        there = (host.target(self.link) or "").rpartition("/")[2]
        if not there:
            return self.failed(f"there is no {self.link}", fix=APPLY)
        if numbers(there) < numbers(self.minimum):
            message = f"Synapse {there} is installed, and all before {self.minimum} have known, serious holes"
            return self.failed(message, next="apt update; apt install matrix-baremetal; matrix-baremetal upgrade")
        return self.fine(f"Synapse {there} has no hole that this release knows of")


@dataclass(frozen=True)
class Program(Check):
    """Synapse's virtualenv: a new release of Debian takes away the Python that it was made for."""

    form = "synapse.program"
    asks = "Synapse's virtualenv is whole, of the pinned packages, and its Python is still there"

    virtualenv: Virtualenv = field(repr=False)

    def look(self, host: Host) -> Finding:
        wanted, found = self.virtualenv, self.virtualenv.find(host)
        if found is None:
            return self.failed(f"{wanted.path} is not there, or is not whole", fix=APPLY)
        if host.node(f"/usr/bin/python{found.python}") is None:
            return self.failed(
                f"Synapse's virtualenv was made for Python {found.python}, which this machine no longer has",
                fix=APPLY,
            )
        if found.python != wanted.python:
            return self.warned(
                f"Synapse's virtualenv is of Python {found.python}, and Debian's own is {wanted.python} by now",
                "it runs until apt autoremove takes the old one away",
                fix=APPLY,
            )
        if found != wanted:
            lines = [line for difference in wanted.differences(found) for line in difference.lines]
            return self.warned(f"{wanted.path} is of other packages", *lines, fix=APPLY)
        return self.fine(f"Synapse's virtualenv is whole, of Python {found.python}")


@dataclass(frozen=True)
class Media(Check):
    """Whether the service can write where uploads go; asked as the user that it runs as."""

    form = "synapse.media"
    asks = "the service can write uploads"

    path: str
    user: str

    def look(self, host: Host) -> Finding:
        if host.node(self.path) is None:
            return self.failed(f"{self.path} is not there", fix=APPLY)
        if host.run(*as_user(self.user), "test", "-w", self.path, ok=range(256), timeout=PATIENCE).status == 0:
            return self.fine(f"{self.user} can write {self.path}")
        return self.failed(
            f"{self.user} can't write {self.path}", next=f"matrix-baremetal apply; findmnt -T {self.path}"
        )


@dataclass(frozen=True)
class Secrets(Check):
    """Whether the secrets are long, and none is another's: one that was shipped or copied is no secret."""

    form = "synapse.secrets"
    asks = "each secret of the homeserver is long and used once"

    paths: tuple[str, ...]

    def look(self, host: Host) -> Finding:
        texts = {path: (host.text(path) or "").strip() for path in self.paths}
        wrong = [path for path, text in texts.items() if len(text) < LONG]
        wrong += [path for path, text in texts.items() if text and list(texts.values()).count(text) > 1]
        if wrong:
            gone = any(host.node(path) is None for path in wrong)
            # Only what runs with its secrets as they are is given others.
            rotate = f"{APPLY}; matrix-baremetal secrets rotate {wrong[0].rpartition('/')[2]}"
            cure = APPLY if gone else rotate
            return self.failed("secrets are missing, short, or used twice", *dict.fromkeys(wrong), next=cure)
        return self.fine(f"{len(texts)} secrets are long and distinct")


@dataclass(frozen=True)
class SigningKey(Check):
    """Whether the key with which this server signs is there and is a key; it is all that the server is to others."""

    form = "synapse.signing-key"
    asks = "the server's signing key is there and is one"

    path: str

    def look(self, host: Host) -> Finding:
        text = host.text(self.path)
        if not text:
            state = "gone" if text is None else "empty"
            return self.failed(
                f"{self.path} is {state}: with another, other servers would not know this one",
                next=f"put {self.path} back from a backup",
            )
        try:
            name, _ = federation.public_key(text)
        except federation.Unsound as error:
            return self.failed(f"{self.path} can't be used: {error}", next=f"put {self.path} back from a backup")
        return self.fine(f"the signing key is {name}")


@dataclass(frozen=True)
class Clients(Check):
    """Whether today's clients will work: sliding sync, and a way to log in."""

    form = "synapse.clients"
    asks = "current clients can log in and synchronise (simplified sliding sync)"

    @property
    def after(self) -> tuple[str, ...]:
        return (RUNS,)

    def look(self, host: Host) -> Finding:
        versions = host.net.ask("GET", PORT, "/_matrix/client/versions", timeout=PATIENCE)
        login = host.net.ask("GET", PORT, "/_matrix/client/v3/login", timeout=PATIENCE)
        if not versions.data or not login.data:
            return self.skipped(f"the homeserver does not answer: see {READY}")
        ways = [str(flow.get("type")) for flow in login.data.get("flows", ())]
        if not {"m.login.password", "m.login.sso"}.intersection(ways):
            return self.warned(
                "nobody can log in with a password or by single sign-on", *ways, next="see synapse.settings"
            )
        if not versions.data.get("unstable_features", {}).get("org.matrix.simplified_msc3575"):
            return self.warned(
                "Element X will say that this server is not supported: sliding sync is off",
                next="remove experimental_features from synapse.settings, then: matrix-baremetal apply",
            )
        return self.fine("current clients can log in and synchronise")
