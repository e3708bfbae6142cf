"""Whether others reach a port from outside: asked of a machine elsewhere (`doctor --probe-from`), and only then."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.tls import leaf
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.probe_from import Knock, Question

OPEN = "let it in at the firewall, and forward it at the router: matrix-baremetal show ports"
WORDS = {
    "refused": "is refused there: nothing listens, or a router sends it to another machine",
    "silent": "does not answer: a firewall or a router keeps it",
}


@dataclass(frozen=True)
class Outside(Check):
    """A port of this machine, as another machine has found it by this `question`; None where it can't be asked.

    `chain` is the file of the certificate that it is to show.
    """

    form = "outside.{0.protocol}.{0.port}"
    asks = "a port is reached from another machine (--probe-from)"
    depth = 3

    protocol: str
    port: int
    purpose: str
    question: Question | None = None
    chain: str = ""
    knocks: tuple[Knock, ...] = field(default=(), repr=False)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.protocol.upper()} port {self.port} ({self.purpose})"

    def look(self, host: Host) -> Finding:
        if self.question is None:
            return self.told(f"{self.title} says nothing to strangers, so nobody can tell whether it is open")
        name = self.question.name
        if not self.knocks:
            return self.failed(f"{name} does not resolve on the other machine", next="matrix-baremetal show dns")
        lines = [f"{knock.address}: {knock.state}" for knock in self.knocks if knock.state != "away"]
        if not lines:
            return self.warned(f"the other machine has no way to any address of {name}", next="use another one")
        for state, words in WORDS.items():
            if any(knock.state == state for knock in self.knocks):
                return self.failed(f"{self.title} {words}", *lines, next=OPEN)
        if self._stranger(host):
            words = f"somebody else than this machine answers at {self.title}"
            return self.failed(words, *lines, next=f"see where {name} leads: matrix-baremetal doctor dns")
        return self.fine(f"{self.title} is reached from there", *lines)

    def _stranger(self, host: Host) -> bool:
        """Whether any address shows another certificate than this machine has."""
        ours = leaf(host, self.chain) if self.chain else b""
        shown = {knock.certificate for knock in self.knocks if knock.state == "open"}
        return bool(ours) and shown != {hashlib.sha256(ours).hexdigest()}
