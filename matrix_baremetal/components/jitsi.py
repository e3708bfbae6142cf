"""Jitsi Meet of our own, for clients that hold group calls by it: from its own repository, in units of ours.

Four of its packages: the pages, the parts of its XMPP server, jicofo and the videobridge. What they would start and
write by themselves stands still: Prosody reads a config of ours, as do the other two, and nginx and the certificate
are those that there are. So Jitsi's package of nginx's config (jitsi-meet-web-config) is not taken, and with it no
ACME client of its own. Whoever has an account here opens rooms, as `mod_auth_matrix_openid.lua` asks Synapse of
everybody; anybody else may join one that is open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from matrix_baremetal.checks import jitsi as checks
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.outside import OfJitsi
from matrix_baremetal.components.component import FOLLOWS, SECRETS, TLS, Component, service_reads
from matrix_baremetal.components.synapse import UNIT as SYNAPSE
from matrix_baremetal.components.turn import PLAIN
from matrix_baremetal.jitsi_start import ETC, EXTERNAL, MARK, PARTS
from matrix_baremetal.needs import Document, Domain, Need, Needs, Port, Rooms, Setting, VHost
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.distrusted import Distrusted
from matrix_baremetal.resources.files import Directory, File, Secret
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.resources.vendor import KEYRINGS, PREFERENCES, SOURCES, AptKey, VendorPackages
from matrix_baremetal.templates import render
from matrix_baremetal.versions import AptRepository

XMPP, FOCUS, BRIDGE = (f"matrix-jitsi-{part}.service" for part in ("xmpp", *PARTS))
# Jitsi's own for callers; then those of this machine alone: browsers' XMPP, Jitsi's programs', Synapse's OpenID.
UDP, WEB, CLIENTS, OPENID = 10000, 8084, 8085, 8086
# What is installed of Jitsi's, and the only ones that its repository may give.
PACKAGES = ("jitsi-meet-web", "jitsi-meet-prosody", "jicofo", "jitsi-videobridge2")
# Prosody is Debian's; its own unit would serve what Jitsi's package writes into its config.
DEBIANS = ("prosody.service", "jicofo.service", "jitsi-videobridge2.service")
PAGES = "/usr/share/jitsi-meet"
READS = {
    XMPP: f"{PAGES}/prosody-plugins",
    FOCUS: "/usr/share/jicofo/jicofo.jar",
    BRIDGE: "/usr/share/jitsi-videobridge/jitsi-videobridge.jar",
}
HEAD = "# Written by matrix-baremetal; a change here is undone by the next run.\n"
# By it Element brings a token of the homeserver (README of matrix-org/prosody-mod-auth-matrix-user-verification).
AUTH, WELL_KNOWN = {"auth": "openidtoken-jwt"}, "/.well-known/element/jitsi"
# mod_speakerstats_component and its like, by the name that clients look for each under.
COMPONENTS = (
    ("speakerstats", "speakerstats_component"),
    ("endconference", "end_conference"),
    ("avmoderation", "av_moderation_component"),
)
# As Java takes them (MB): how much each may grow to, by the machine's memory. Each takes some 150 more beside.
HEAPS = ((6, 256, 512), (12, 384, 1024), (1 << 20, 512, 2048))
LOGGING = """\
handlers = java.util.logging.ConsoleHandler
.level = WARNING
java.util.logging.ConsoleHandler.level = ALL
java.util.logging.ConsoleHandler.formatter = java.util.logging.SimpleFormatter
java.util.logging.SimpleFormatter.format = %4$s %3$s: %5$s%6$s%n
"""
PASSWORDS = {
    part: Secret(
        f"{SECRETS}/jitsi_{part}",
        use=f"lets {program} in at Jitsi's XMPP server",
        breaks="nothing but calls by Jitsi that are being held",
    )
    for part, program in zip(PARTS, ("jicofo", "the videobridge"), strict=True)
}


class Jitsi(Component):
    """Prosody, jicofo, the videobridge and the pages, and what each is told."""

    @property
    def host(self) -> str:
        """The name of it all: for browsers, and as the top of its XMPP server's domains."""
        return self.config.calls.rooms_under(self.config.server_name) or ""

    @property
    def script(self) -> str:
        """Where the settings of the pages are."""
        return f"{ETC}/config.js"

    def wanted(self) -> bool:
        return bool(self.host)

    def needs(self) -> Iterator[Need]:
        yield Domain(self.host)
        yield VHost(self.host, (Document(WELL_KNOWN, f"{ETC}/element.json"), Rooms(PAGES, self.script, WEB)))
        yield Port(WEB, XMPP)
        yield Port(CLIENTS, XMPP)
        yield Port(OPENID, SYNAPSE)
        yield Port(UDP, BRIDGE, "group calls by Jitsi", "udp")
        # Not by the listener that nginx passes to, which need not have it: with federation off it answers nobody.
        yield Setting("listeners", listener(), many=True)

    def resources(self, needs: Needs) -> Iterator[Resource]:
        for part in ("xmpp", *PARTS):
            yield SystemUser(f"matrix-jitsi-{part}")
        # Before the packages come, which start them else.
        for unit in DEBIANS:
            yield Mask(unit)
        yield from self._packages()
        yield Directory(ETC, 0o755)
        yield from PASSWORDS.values()
        given = self.config.calls.external_ip
        for name, text in {
            EXTERNAL: f"{self.host if given == 'auto' else given}\n",
            f"{ETC}/element.json": json.dumps(AUTH) + "\n",
            self.script: f"var config = {json.dumps(self._pages(), indent=1)};\n",
            f"{ETC}/heap.env": HEAD + heaps(self.site.facts.memory),
            f"{ETC}/logging.properties": HEAD + LOGGING,
            f"{ETC}/prosody.cfg.lua": self._prosody(),
            f"{ETC}/focus.conf": json.dumps(self._focus(), indent=1) + "\n",
            f"{ETC}/bridge.conf": json.dumps(self._bridge(), indent=1) + "\n",
        }.items():
            yield File(name, text)
        java = (f"{ETC}/heap.env", f"{ETC}/logging.properties")
        secrets = {part: secret.path for part, secret in PASSWORDS.items()}
        for unit, files in {
            XMPP: (f"{ETC}/prosody.cfg.lua", *secrets.values()),
            FOCUS: (f"{ETC}/focus.conf", *java, secrets["focus"]),
            BRIDGE: (f"{ETC}/bridge.conf", EXTERNAL, *java, secrets["bridge"]),
        }.items():
            yield Service(unit, reads=(*files, READS[unit], *service_reads(unit)), program=READS[unit])
        if not self.config.turn.enabled and not self.config.calls.element_call:
            # Else one of those has it.
            yield FOLLOWS

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield checks.Opens(self.host, unit=XMPP, behind=WEB)
        yield checks.Closed(self.host, unit=XMPP, behind=WEB)
        yield OfJitsi(self.host, UDP, self.config.calls.external_ip)

    def repository(self) -> AptRepository:
        """Where Jitsi's packages come from."""
        pinned, given = self.site.versions.jitsi, self.config.calls.jitsi_repository
        if given is None:
            return pinned
        key = given.key or f"{given.url.rstrip('/')}/{pinned.key.rpartition('/')[2]}"
        return AptRepository(given.url, pinned.suite, key, given.fingerprint or pinned.fingerprint)

    def _packages(self) -> Iterator[Resource]:
        """What apt may take of that repository, before it knows of it; and the packages."""
        where, name = self.repository(), "matrix-baremetal-jitsi"
        key = f"{KEYRINGS}/{name}.asc"
        yield File(f"{PREFERENCES}/{name}", HEAD + preferences(urlsplit(where.url).hostname or ""))
        yield AptKey(key, where.fingerprint, url=where.key, shelf=self.site.wheelhouse)
        source = {"Types": "deb", "URIs": where.url, "Suites": where.suite, "Signed-By": key}
        yield File(f"{SOURCES}/{name}.sources", HEAD + "".join(f"{k}: {v}\n" for k, v in source.items()))
        yield VendorPackages("jitsi", ("prosody", *PACKAGES), answers=self._answers())
        # Its package has the machine believe a certificate whose key Prosody's user has, which nothing of ours needs.
        yield Distrusted(f"auth.{self.host}")

    def _answers(self) -> tuple[tuple[str, str, str, str], ...]:
        """debconf's questions, as today's templates have them; those of nginx's config too, should that ever come."""
        web, tls = "jitsi-meet-web-config", f"{TLS}/{self.host}/current"
        return (
            ("jitsi-videobridge2", "jitsi-videobridge/jvb-hostname", "string", self.host),
            (web, "jitsi-meet/jvb-hostname", "string", self.host),
            (web, "jitsi-meet/cert-choice", "select", "I want to use my own certificate"),
            (web, "jitsi-meet/cert-path-key", "string", f"{tls}/privkey.pem"),
            (web, "jitsi-meet/cert-path-crt", "string", f"{tls}/fullchain.pem"),
            (web, "jitsi-meet/jaas-choice", "boolean", "false"),
        )

    def _prosody(self) -> str:
        return render(
            "jitsi/prosody.cfg.lua",
            host=self.host,
            server_name=self.config.server_name,
            port=CLIENTS,
            web=WEB,
            userinfo=f"http://127.0.0.1:{OPENID}/_matrix/federation/v1/openid/userinfo",
            components=COMPONENTS,
        )

    def _focus(self) -> dict[str, Any]:
        """jicofo's reference.conf. Whoever is of the main domain opens rooms, and a guest can't."""
        client = {
            **login("hostname", "port", "domain", "username", "password", domain=f"auth.{self.host}", name="focus"),
            "xmpp-domain": self.host,
            "conference-muc-jid": f"conference.{self.host}",
            "client-proxy": f"focus.{self.host}",
            "use-tls": False,
        }
        who = {"enabled": True, "type": "XMPP", "login-url": self.host, "enable-auto-login": False}
        return {
            "jicofo": {
                "authentication": who,
                "bridge": {"brewery-jid": f"jvbbrewery@internal.auth.{self.host}"},
                "rest": {"enabled": False},
                "xmpp": {"client": client, "trusted-domains": []},
            }
        }

    def _bridge(self) -> dict[str, Any]:
        """The videobridge's reference.conf and ice4j's. No server of others is asked for this machine's address."""
        client = {
            **login("HOSTNAME", "PORT", "DOMAIN", "USERNAME", "PASSWORD", domain=f"auth.{self.host}", name="jvb"),
            "MUC_JIDS": f"jvbbrewery@internal.auth.{self.host}",
            "MUC_NICKNAME": "here",
            "SECURITY_MODE": "disabled",
        }
        return {
            "videobridge": {
                "apis": {"xmpp-client": {"configs": {"here": client}}},
                "http-servers": {"private": {"port": -1}, "public": {"port": -1}},
                "ice": {"udp": {"port": UDP}},
                "health": {"require-valid-address": False},
            },
            "ice4j": {"harvest": {"mapping": {"aws": {"enabled": False}, "stun": {"addresses": []}}}},
        }

    def _pages(self) -> dict[str, Any]:
        """Jitsi's docs on config.js. Nothing of others is asked for, nor told of a call."""
        turn, host = self.config.turn.enabled, self.host
        return {
            "hosts": {
                "domain": host,
                "anonymousdomain": f"guest.{host}",
                "authdomain": host,
                "muc": f"conference.{host}",
                "focus": f"focus.{host}",
            },
            "bosh": f"https://{host}/http-bind",
            "websocket": f"wss://{host}/xmpp-websocket",
            "bridgeChannel": {"preferSctp": True},
            "p2p": {
                "enabled": turn,
                "stunServers": [{"urls": f"stun:{self.config.hostname}:{PLAIN}"}] if turn else [],
            },
            "analytics": {"disabled": True},
            "disableThirdPartyRequests": True,
            "gravatar": {"disabled": True},
            "giphy": {"enabled": False},
            "doNotStoreRoom": True,
        }


def listener() -> dict[str, Any]:
    """Where Synapse tells whose an OpenID token is, for this machine alone (Synapse's config manual, listeners)."""
    return {
        "port": OPENID,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "tls": False,
        "resources": [{"names": ["openid"], "compress": False}],
    }


def login(where: str, port: str, at: str, who: str, word: str, *, domain: str, name: str) -> dict[str, Any]:
    """How a program of Jitsi's gets in, by the words that it has for that."""
    return {where: "127.0.0.1", port: CLIENTS, at: domain, who: name, word: MARK}


def heaps(memory: int) -> str:
    """How much of the machine's memory (bytes) the two may take for what they keep; upstream's is 3 GB each."""
    _, focus, bridge = next(each for each in HEAPS if memory < each[0] << 30)
    return f"JICOFO_MAX_MEMORY={focus}m\nVIDEOBRIDGE_MAX_MEMORY={bridge}m\n"


def preferences(origin: str) -> str:
    """What of a repository counts, by the machine that it is on: nothing but Jitsi's (apt_preferences(5))."""
    pins = (("*", -1), (" ".join(PACKAGES), 500))
    return "\n".join(f"Package: {what}\nPin: origin {origin}\nPin-Priority: {rank}\n" for what, rank in pins)
