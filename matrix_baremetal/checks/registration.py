"""Who may make an account here: nobody's program, and nobody at all once registration has closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matrix_baremetal.checks.check import APPLY, PATIENCE, Check
from matrix_baremetal.checks.homeserver import RUNS
from matrix_baremetal.closing import SYNAPSE, over
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.admin_api import PORT

# Registration stages that a person has to pass; without one of them anybody's program makes accounts.
GATES = ("m.login.recaptcha", "m.login.email.identity", "m.login.msisdn", "m.login.registration_token")


@dataclass(frozen=True)
class Registration(Check):
    """Whether anybody's program may make accounts here, as spammers look for; or anybody, after the end.

    `end` is when registration closes, as Synapse's config has it, and `here` the same for a person.
    """

    form = "synapse.registration"
    asks = "strangers can't make accounts without passing any gate, and nobody can once registration has closed"

    end: str = ""
    here: str = ""

    @property
    def after(self) -> tuple[str, ...]:
        return (RUNS,)

    def look(self, host: Host) -> Finding:
        answer = host.net.ask("POST", PORT, "/_matrix/client/v3/register", {}, timeout=PATIENCE)
        gone = bool(self.end) and over(host, self.end)
        if answer.status == 403:
            return self._shut(gone)
        if answer.status != 401:
            return self.skipped(f"the homeserver does not say whether people may register ({answer.error})")
        if gone:
            cure = f"systemctl restart {SYNAPSE.removesuffix('.service')}"
            return self.failed(f"registration should be closed since {self.here}, and is open", fix=cure)
        return self._open(answer.data.get("flows") or [])

    def _open(self, flows: Sequence[dict[str, Any]]) -> Finding:
        open_to_all = [flow for flow in flows if not set(flow.get("stages", ())).intersection(GATES)]
        if open_to_all:
            stages = ", ".join(str(stage) for stage in open_to_all[0].get("stages", ()))
            cure = "set enable_registration: false in synapse.settings and conf.d, then: matrix-baremetal apply"
            return self.failed("anybody can make accounts here", f"its stages: {stages}", next=cure)
        until = f", until {self.here}" if self.end else ""
        return self.told(f"people can register, through a gate{until}", *(", ".join(f["stages"]) for f in flows))

    def _shut(self, gone: bool) -> Finding:
        if gone or not self.end:
            return self.fine(f"registration is closed since {self.here}" if gone else "nobody can register")
        return self.warned(f"registration is to be open until {self.here}, and nobody can register", fix=APPLY)
