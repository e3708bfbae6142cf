"""Who may make an account here: nobody's program, and nobody at all once registration has closed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from matrix_baremetal import closing
from matrix_baremetal.checks.check import APPLY, PATIENCE, Check
from matrix_baremetal.checks.homeserver import RUNS
from matrix_baremetal.closing import SYNAPSE, over
from matrix_baremetal.config_registration import here
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources import opening
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.resources.store import Store

# Registration stages that a person has to pass; without one of them anybody's program makes accounts.
GATES = ("m.login.recaptcha", "m.login.email.identity", "m.login.msisdn", "m.login.registration_token")
CLOSER = "matrix-baremetal-registration.service"
# Seconds: its timer comes each hour.
LATE = 7200.0


@dataclass(frozen=True)
class Registration(Check):
    """Whether anybody's program may make accounts here, as spammers look for; or anybody, after the end.

    `end` is when registration closes, as Synapse's config has it, and `here` the same for a person; `days` for how
    many it stays open without an administrator, of whom `store` knows. 0: that does not matter.
    """

    form = "synapse.registration"
    asks = "strangers can't make accounts without passing any gate, and nobody can once registration has closed"

    end: str = ""
    here: str = ""
    days: int = 0
    store: Store | None = None
    zone: tzinfo = UTC

    @property
    def after(self) -> tuple[str, ...]:
        return (RUNS,)

    def look(self, host: Host) -> Finding:
        answer = host.net.ask("POST", PORT, "/_matrix/client/v3/register", {}, timeout=PATIENCE)
        gone = bool(self.end) and over(host, self.end)
        since = opening.closed(host) if self.days and not gone else None
        if answer.status == 403:
            return self._shut(gone) if since is None else self._unattended(host, since)
        if answer.status != 401:
            return self.skipped(f"the homeserver does not say whether people may register ({answer.error})")
        if gone or since is not None:
            cure = f"systemctl restart {SYNAPSE.removesuffix('.service')}"
            when = self.here if since is None else self._at(since)
            return self.failed(f"registration should be closed since {when}, and is open", fix=cure)
        return self._open(host, answer.data.get("flows") or [])

    def _open(self, host: Host, flows: Sequence[dict[str, Any]]) -> Finding:
        open_to_all = [flow for flow in flows if not set(flow.get("stages", ())).intersection(GATES)]
        if open_to_all:
            stages = ", ".join(str(stage) for stage in open_to_all[0].get("stages", ()))
            cure = "set enable_registration: false in synapse.settings and conf.d, then: matrix-baremetal apply"
            return self.failed("anybody can make accounts here", f"its stages: {stages}", next=cure)
        until = f", until {self.here}" if self.end else ""
        lapses = self._lapses(host)
        if lapses and lapses + LATE < time.time():
            missing = f"no administrator has looked in for {self.days} days, and registration is open"
            return self.failed(missing, fix=f"systemctl start {CLOSER.removesuffix('.service')}")
        if lapses:
            until += f", and until {self._at(lapses)} unless an administrator looks in"
        return self.told(f"people can register, through a gate{until}", *(", ".join(f["stages"]) for f in flows))

    def _lapses(self, host: Host) -> float:
        """When it closes for want of an administrator; 0 where it does not, or nobody can tell."""
        if not self.days or self.store is None:
            return 0.0
        try:
            return closing.lapses(host, self.store, self.days)
        except Error:
            return 0.0

    def _shut(self, gone: bool) -> Finding:
        if self.end and not gone:
            return self.warned(f"registration is to be open until {self.here}, and nobody can register", fix=APPLY)
        if self.days and not gone:
            return self.warned("registration is to be open, and nobody can register", fix=APPLY)
        return self.fine(f"registration is closed since {self.here}" if gone else "nobody can register")

    def _unattended(self, host: Host, since: float) -> Finding:
        """Closed for want of an administrator: the way back depends on whether one has been here since."""
        sentence = f"registration is closed since {self._at(since)}: no administrator looked in for {self.days} days"
        try:
            back = self.store is not None and opening.visited(host, self.store) > since
        except Error:
            back = False
        if back:
            return self.warned(sentence, "an administrator has been here since", fix=APPLY)
        return self.warned(sentence, next=f"log in as an administrator, then: {APPLY}")

    def _at(self, moment: float) -> str:
        return here(datetime.fromtimestamp(moment, UTC), self.zone)
