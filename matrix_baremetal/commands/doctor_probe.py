"""doctor --probe-from: what a machine elsewhere, which the operator can log in to, reaches of this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from matrix_baremetal import ports, probe_from
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.probed import Outside
from matrix_baremetal.components.component import TLS
from matrix_baremetal.components.delegation import UNDELEGATED
from matrix_baremetal.components.turn import ENCRYPTED, PLAIN
from matrix_baremetal.errors import USAGE, Error
from matrix_baremetal.host import Host
from matrix_baremetal.session import Session


class Nowhere(Error):
    """It names no machine."""

    status = USAGE


def checks(now: Session, via: str) -> Iterator[Check]:
    """A question for each port that is to be reached. Raises `Nowhere`."""
    try:
        probe_from.place(via)
    except ValueError as error:
        raise Nowhere(str(error), hint="matrix-baremetal doctor --help") from None
    config = now.site.config
    for each in ports.openings(now.site, now.needs):
        if each.direction == "in":
            name = config.server_name if each.port == UNDELEGATED else config.hostname
            secret = each.port in (443, UNDELEGATED, ENCRYPTED)
            # Of all that is UDP, STUN alone answers whoever asks.
            answers = each.protocol == "tcp" or each.port == PLAIN
            question = probe_from.Question(name, each.port, each.protocol, secret) if answers else None
            chain = f"{TLS}/{name}/current/fullchain.pem" if secret else ""
            yield Outside(each.protocol, each.port, each.purpose, question, chain)


def asked(checks: Sequence[Check], host: Host, via: str) -> tuple[Check, ...]:
    """The same, those that ask another machine with its answers. Raises `Error` where it gives none."""
    open = [each for each in checks if isinstance(each, Outside) and each.question]
    answers = probe_from.ask(host, via, [each.question for each in open if each.question])
    by_id = {each.id: knocks for each, knocks in zip(open, answers, strict=True)}
    return tuple(
        replace(each, knocks=by_id.get(each.id, ())) if isinstance(each, Outside) else each for each in checks
    )
