"""TURN: the server that relays calls between people who can't reach each other, Debian's coturn in a unit of ours.

Debian's own unit starts when its package is installed, with a config by which anybody may relay, and a drop-in for it
would leave that behind where TURN is switched off. So that unit is masked, and ours is like all others of ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.addresses import PRIVATE, SPECIAL, span
from matrix_baremetal.checks import tls
from matrix_baremetal.checks import turn as checks
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.outside import OfTurn
from matrix_baremetal.components.component import FOLLOWS, TLS, Component, service_reads
from matrix_baremetal.needs import Need, Needs, Port, Setting
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.files import Directory, File, Link, Secret
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.turn_start import CONFIG, ETC, ITSELF, PAIR, SECRET, USER

UNIT = "matrix-turn.service"
DEBIANS = "coturn.service"
PROGRAM = "/usr/bin/turnserver"
# What clients expect (RFC 8656 §6), and for each relayed way one port of the range: two for most calls of two.
PLAIN, ENCRYPTED, FIRST, LAST = 3478, 5349, 49152, 49407
# How many ways one person may have, and all together: fewer than there are ports.
OF_ONE, OF_ALL = 12, 240
SHARED = Secret(
    SECRET,
    use="lets Synapse tell the TURN server who may call",
    breaks="calls that begin with what clients were told before, which is for a day",
)

HEAD = """\
# Written by matrix-baremetal; a change here is undone by the next run. The secret and the addresses that this machine
# has are added at each start: /run/matrix-baremetal/turn/turnserver.conf is what coturn reads.
"""


class Turn(Component):
    """coturn, which relays for whom Synapse has given credentials, and to nobody of this machine or its network."""

    def wanted(self) -> bool:
        return self.config.turn.enabled

    def needs(self) -> Iterator[Need]:
        yield Port(PLAIN, UNIT, "calls")
        yield Port(PLAIN, UNIT, "calls", "udp")
        yield Port(ENCRYPTED, UNIT, "calls, encrypted")
        yield Port(FIRST, UNIT, "calls, what is relayed", "udp", LAST)
        yield Setting("turn_uris", uris(self.config.hostname))
        yield Setting("turn_shared_secret_path", files=(SHARED,))
        # A call goes on past the end of what it began with, and a client that was suspended asks late.
        yield Setting("turn_user_lifetime", "1d")
        yield Setting("turn_allow_guests", False)

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield SystemUser(USER)
        # Before the package comes.
        yield Mask(DEBIANS)
        yield Packages("calls", ("coturn",), beside=True)
        yield Directory(ETC, 0o755)
        yield File(CONFIG, self._config())
        yield Link(PAIR, f"{TLS}/{self.config.hostname}/current")
        yield service(f"{TLS}/{self.config.hostname}/current")
        yield FOLLOWS

    def checks(self, needs: Needs) -> Iterator[Check]:
        config, turn = self.config, self.config.turn
        yield checks.Relays(PLAIN, config.hostname, "udp")
        yield checks.Relays(ENCRYPTED, config.hostname, "tls")
        yield OfTurn(config.hostname, PLAIN, turn.external_ip)
        outside = config.hostname if turn.external_ip == "auto" else turn.external_ip
        yield checks.Closed(PLAIN, config.hostname, turn.allowed_peers, outside if config.calls.relay else "")
        place = f"{TLS}/{config.hostname}/current"
        yield tls.Served(config.hostname, ENCRYPTED, place, config.tls.mode, "matrix-turn", "stun.turn")

    def _config(self) -> str:
        turn = self.config.turn
        rows = [
            f"listening-port={PLAIN}",
            f"tls-listening-port={ENCRYPTED}",
            f"min-port={FIRST}",
            f"max-port={LAST}",
            f"realm={self.config.server_name}",
            f"external-ip={self.config.hostname if turn.external_ip == 'auto' else turn.external_ip}",
            f"user-quota={OF_ONE}",
            f"total-quota={OF_ALL}",
            *SETTINGS,
            *(f"denied-peer-ip={span(each)}" for each in (*PRIVATE, *SPECIAL)),
            *(f"allowed-peer-ip={span(each)}" for each in turn.allowed_peers),
            *([ITSELF] if self.config.calls.relay else []),
        ]
        return HEAD + "".join(f"{row}\n" for row in rows)


# Calls are UDP; over TCP nothing is relayed, as that would be a way to any server. DTLS is left out, which no client
# of Matrix asks for; so is what makes answers to forged senders large. No telnet.
SETTINGS = (
    "use-auth-secret",
    "cert=/run/matrix-baremetal/turn/fullchain.pem",
    "pkey=/run/matrix-baremetal/turn/privkey.pem",
    "userdb=/run/matrix-turn/turndb",
    "pidfile=/run/matrix-turn/pid",
    "log-file=stdout",
    "simple-log",
    "fingerprint",
    "no-cli",
    "no-dtls",
    "no-tlsv1",
    "no-tlsv1_1",
    "no-tcp-relay",
    "no-multicast-peers",
    "no-rfc5780",
    "no-stun-backward-compatibility",
    "response-origin-only-with-rfc5780",
    "no-software-attribute",
)


def uris(hostname: str) -> list[str]:
    """Where clients find it; without TLS too, as the callers encrypt what it relays, and UDP is the fastest."""
    plain = [f"turn:{hostname}?transport={transport}" for transport in ("udp", "tcp")]
    return [*plain, f"turns:{hostname}?transport=tcp"]


def service(pair: str) -> Service:
    """It runs with its config, and serves the certificate that is in `pair` now."""
    certificate = f"{pair}/fullchain.pem"
    # The program too: Debian starts its own unit again for a newer one, and that is masked.
    reads = (CONFIG, SECRET, PAIR, *service_reads(UNIT), PROGRAM, certificate)
    return Service(UNIT, reads=reads, reloads=(certificate,), program=PROGRAM)
