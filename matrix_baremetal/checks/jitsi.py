"""Jitsi: whether its XMPP server answers where browsers look for it, and who opens rooms there."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

from matrix_baremetal.checks.check import APPLY, short
from matrix_baremetal.checks.web import Web
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.web import Response

# XEP-0124: a request of nothing is answered in words.
BOSH = "/http-bind"
BODY = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'"
# Seconds that an answer without anything to say is held back, and how many of those are waited for.
HELD, PATIENCE = 1, 3
ENTER = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>"
BIND = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
CONFERENCE = "<conference xmlns='http://jitsi.org/protocol/focus' machine-uid='doctor' room='{0}@conference.{1}'/>"


@dataclass(frozen=True)
class Opens(Web):
    """The XMPP server, by way of nginx."""

    form = "jitsi.xmpp"
    asks = "Jitsi's XMPP server answers where browsers look for it"

    unit: str = ""
    behind: int = 0

    @property
    def after(self) -> tuple[str, ...]:
        return (*super().after, f"ports.{self.behind}")

    def look(self, host: Host) -> Finding:
        seen = self.ask(host, BOSH)
        where = f"https://{self.name}{BOSH}"
        if seen.status == 200:
            return self.fine(f"Jitsi's XMPP server answers at {where}")
        why = seen.fault or f"status {seen.status}"
        message = f"Jitsi's XMPP server does not answer at {where}, so nobody gets into a call"
        return self.failed(message, why, next=f"journalctl -u {short(self.unit)} -n 20")


class Silent(Exception):
    """Nobody answers, or in no words that are expected."""


class Browser:
    """Somebody in a browser who comes to one of Jitsi's domains, as he is spoken to (XEP-0206)."""

    def __init__(self, ask: Callable[[str], Response], domain: str) -> None:
        self._ask, self._number, self._sid, self._domain = ask, secrets.randbelow(1 << 32), "", domain
        opened = self.say("", f"to='{domain}' wait='{HELD}' hold='1' ver='1.6' xmpp:version='1.0' xml:lang='en'")
        found = re.search(r"""\bsid=['"]([\w-]+)['"]""", opened)
        if found is None:
            raise Silent
        self._sid = found[1]

    def say(self, inner: str, more: str = "") -> str:
        """Send something, and give what came back, which may be nothing yet. Raises `Silent`."""
        self._number += 1
        session = f"sid='{self._sid}' " if self._sid else ""
        seen = self._ask(f"<body {BODY} rid='{self._number}' {session}{more}>{inner}</body>")
        if seen.status != 200:
            raise Silent
        return seen.body.decode(errors="replace")

    def until(self, inner: str, yes: str, no: str) -> bool:
        """Send something, and wait for one of two answers. Raises `Silent`."""
        for _ in range(PATIENCE):
            said = self.say(inner)
            if yes in said or no in said:
                return yes in said
            inner = ""
        raise Silent

    def enters(self) -> bool:
        """Whether he is let in as nobody in particular."""
        return self.until(ENTER, "<success", "<failure")

    def opens(self, host: str) -> bool:
        """Whether a room is opened for him; he is in."""
        self.say("", f"to='{self._domain}' xmpp:restart='true'")
        self.until(BIND, "<jid>", "<error")
        wanted = CONFERENCE.format(f"doctor-{secrets.token_hex(8)}", host)
        return self.until(
            f"<iq xmlns='jabber:client' type='set' id='f' to='focus.{host}'>{wanted}</iq>", "ready=", "<error"
        )

    def goes(self) -> None:
        """Leave nothing behind."""
        self.say("", "type='terminate'")


@dataclass(frozen=True)
class Closed(Opens):
    """Who has no account here opens no room: neither as one of ours without showing it, nor as a guest."""

    form = "jitsi.closed"
    asks = "nobody without an account here opens a room at Jitsi"

    def look(self, host: Host) -> Finding:
        try:
            if self._gets(host, self.domain, as_guest=False):
                return self._open("whoever comes counts as somebody with an account here")
            if self._gets(host, f"guest.{self.domain}", as_guest=True):
                return self._open("a room is opened for a guest")
        except Silent:
            look = f"journalctl -u {short(self.unit)} -u matrix-jitsi-focus -n 20"
            return self.warned("Jitsi does not say in time who may open a room", next=look)
        return self.fine("nobody without an account here opens a room at Jitsi")

    def _gets(self, host: Host, domain: str, *, as_guest: bool) -> bool:
        def ask(text: str) -> Response:
            return self.ask(host, BOSH, method="POST", xml=text)

        somebody = Browser(ask, domain)
        got = somebody.enters() and (not as_guest or somebody.opens(self.domain))
        somebody.goes()
        return got

    def _open(self, why: str) -> Finding:
        cure = f"{APPLY}; systemctl restart {short(self.unit)} matrix-jitsi-focus"
        return self.failed("strangers can hold calls at Jitsi", why, next=cure)
