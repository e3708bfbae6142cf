"""Calls of more than two: LiveKit, which passes on what each sends, and lk-jwt-service, which lets people in.

Element Call's docs/self_hosting.md. Two programs of upstream's in two units of ours, which share one key: what the
one signs, the other believes. LiveKit makes no room by itself, and lk-jwt-service for people of this server alone, so
that nobody else can hold calls here; who was invited from elsewhere joins one that there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from matrix_baremetal.calls_start import CONFIG, ETC, EXTERNAL, MARK
from matrix_baremetal.checks import calls as checks
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.outside import OfCalls
from matrix_baremetal.components.component import FOLLOWS, SECRETS, Component, service_reads
from matrix_baremetal.components.delegation import JWT
from matrix_baremetal.components.programs import OPT, download
from matrix_baremetal.components.turn import ENCRYPTED, PLAIN
from matrix_baremetal.config_beside import EXPERIMENTS
from matrix_baremetal.needs import Below, Domain, Need, Needs, Port, Setting, VHost
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.resources.files import Directory, File, Secret, random_text
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.turn_start import SECRET
from matrix_baremetal.yamlfile import dump

LIVEKIT, TOKENS = "matrix-livekit.service", "matrix-lk-jwt.service"
USERS = ("matrix-livekit", "matrix-lk-jwt")
SFU = "/livekit/sfu"
# LiveKit's own: for nginx, and for callers by TCP and UDP. Then that of lk-jwt-service.
SIGNALS, TCP, UDP, GIVES = 7880, 7881, 7882, 8082
NAME = "matrix"
ENVIRONMENT = f"{ETC}/lk-jwt.env"
HEAD = "# Written by matrix-baremetal; a change here is undone by the next run.\n"


# By which a caller comes to the TURN server, the fastest first.
WAYS = ((PLAIN, "udp"), (PLAIN, "tcp"), (ENCRYPTED, "tls"))


def relay(hostname: str, port: int, protocol: str) -> dict[str, Any]:
    """The TURN server in the words of LiveKit's config; its secret comes at each start.

    What LiveKit hands out is good for a day, as Synapse's is: a call goes on past the end of what it began with.
    """
    return {"host": hostname, "port": port, "protocol": protocol, "secret": MARK, "ttl": 86400}


def keys() -> str:
    """A name and a secret as both programs read them: YAML for the one, words around a colon for the other."""
    return f"{NAME}: {random_text()}\n"


KEYS = Secret(
    f"{SECRETS}/livekit_keys",
    invent=keys,
    use="lets lk-jwt-service say who may join a group call",
    breaks="group calls that are being held",
)


class Calls(Component):
    """LiveKit and lk-jwt-service on a name of their own, and what clients and Synapse have to know of them."""

    @property
    def hostname(self) -> str:
        """Where they are."""
        return self.config.calls_hostname or ""

    def wanted(self) -> bool:
        return self.config.calls_hostname is not None

    def needs(self) -> Iterator[Need]:
        yield Domain(self.hostname)
        yield VHost(self.hostname, (Below(JWT, GIVES), Below(SFU, SIGNALS, socket=True)))
        yield Port(SIGNALS, LIVEKIT)
        yield Port(GIVES, TOKENS)
        yield Port(TCP, LIVEKIT, "group calls, where UDP is blocked")
        yield Port(UDP, LIVEKIT, "group calls", "udp")
        focus = {"type": "livekit", "livekit_service_url": f"https://{self.hostname}{JWT}"}
        yield Setting("matrix_rtc", {"transports": [focus]})
        yield Setting("experimental_features", dict.fromkeys(EXPERIMENTS, True))
        # Who leaves without a word is taken out of the call by an event that was sent ahead (MSC4140).
        yield Setting("max_event_delay_duration", "24h")
        # Keys for each who comes and goes, and a sign of life every few seconds: Element Call's own numbers.
        yield Setting("rc_message", {"per_second": 0.5, "burst_count": 30})
        yield Setting("rc_delayed_event_mgmt", {"per_second": 1, "burst_count": 20})

    def resources(self, needs: Needs) -> Iterator[Resource]:
        for user in USERS:
            yield SystemUser(user)
        yield from self._programs()
        yield Directory(ETC, 0o755)
        yield KEYS
        yield File(CONFIG, HEAD + dump(self._livekit()))
        given = self.config.calls.external_ip
        yield File(EXTERNAL, f"{self.hostname if given == 'auto' else given}\n")
        yield File(ENVIRONMENT, HEAD + "".join(f"{key}={value}\n" for key, value in self._tokens().items()))
        for unit, name, files in (
            (LIVEKIT, "livekit", (CONFIG, EXTERNAL, *((SECRET,) if self.config.calls.relay else ()))),
            (TOKENS, "lk-jwt-service", (ENVIRONMENT,)),
        ):
            program = f"{OPT}/{name}/current"
            yield Service(unit, reads=(*files, KEYS.path, program, *service_reads(unit)), program=program)
        if not self.config.turn.enabled:
            # Else the TURN server has it.
            yield FOLLOWS

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield checks.Answers(self.hostname, what="livekit", path=f"{SFU}/", unit=LIVEKIT, behind=SIGNALS)
        yield checks.Answers(self.hostname, what="tokens", path=f"{JWT}/healthz", unit=TOKENS, behind=GIVES)
        if self.config.calls.relay:
            given = self.config.turn.external_ip
            outside = self.config.hostname if given == "auto" else given
            yield checks.Relayed(ENCRYPTED, self.config.hostname, outside)
        yield OfCalls(self.hostname, UDP, self.config.calls.external_ip)

    def _programs(self) -> Iterator[Resource]:
        calls, shelf = self.config.calls, self.site.wheelhouse
        pin = self.site.versions.livekit.pin(self.site.facts.architecture)
        yield replace(download("livekit", pin, calls.livekit, shelf), runs="livekit-server")
        if release := calls.lk_jwt_service:
            place, program = f"{OPT}/lk-jwt-service", "lk-jwt-service"
            yield Download(place, release.sha256[:12], release.sha256, url=release.url, shelf=shelf, program=program)

    def _livekit(self) -> dict[str, Any]:
        """LiveKit's config-sample.yaml. The key is in a file beside, and its address comes at each start."""
        rtc: dict[str, Any] = {"tcp_port": TCP, "udp_port": UDP, "use_external_ip": False}
        if self.config.turn.enabled:
            # Else it tells clients of some that others run, who would learn who calls.
            rtc["stun_servers"] = [f"{self.config.hostname}:{PLAIN}"]
        if self.config.calls.relay:
            rtc["turn_servers"] = [relay(self.config.hostname, *way) for way in WAYS]
        return {
            "port": SIGNALS,
            "bind_addresses": ["127.0.0.1"],
            "rtc": rtc,
            "room": {"auto_create": False},
            # By it lk-jwt-service hears who has left.
            "webhook": {"api_key": NAME, "urls": [f"http://127.0.0.1:{GIVES}/sfu_webhook"]},
            "logging": {"level": "warn", "json": False},
        }

    def _tokens(self) -> dict[str, str]:
        """The README of lk-jwt-service; the file with the key is named in its unit."""
        return {
            # With the path: it asks LiveKit for rooms there too.
            "LIVEKIT_URL": f"wss://{self.hostname}{SFU}",
            "LIVEKIT_JWT_BIND": f"127.0.0.1:{GIVES}",
            "LIVEKIT_FULL_ACCESS_HOMESERVERS": self.config.server_name,
            # Newer ones than 0.5.0 tell the homeserver who has left. They would ask the server name for its address,
            # which may be somebody else's web site.
            "LIVEKIT_CS_API_URL_OVERRIDES": f"{self.config.server_name}=https://{self.config.hostname}",
        }
