"""The well-known files as they are live, whoever serves them, against what is declared."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.machine import SHARED_BY_PROVIDERS, private, within
from matrix_baremetal.checks.tls import LOOPBACK, SERVER
from matrix_baremetal.facts import addresses
from matrix_baremetal.federation import literal
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.web import Request, Response

REDIRECTS = (301, 302, 303, 307, 308)
# Who was asked where a name has no address.
NOBODY = "nobody"


def fetched(host: Host, url: str, name: str, port: int = 443) -> tuple[Response, str]:
    """What a stranger gets for a URL whose host leads to `name`, and who was asked.

    This machine itself is asked where the name leads here, or to a router that may not lead back.
    """
    if literal(name):
        return host.net.request(Request(url, (name, port))), name
    first = host.net.lookup(name, "A")
    if first.fault:
        return host.net.request(Request(url, (LOOPBACK, port))), f"this machine, as {first.fault}"
    found = first.values or host.net.lookup(name, "AAAA").values
    if not found:
        return Response(fault=f"{name} has no address in the DNS"), NOBODY
    own = addresses(host)
    mine = [address for address in found if address in own]
    place = (mine or [*found])[0]
    answer = host.net.request(Request(url, (place, port)))
    hidden = all(private(a) or within(a, SHARED_BY_PROVIDERS) for a in own if ":" not in a)
    if answer.fault and hidden and not mine:
        return host.net.request(Request(url, (LOOPBACK, port))), "this machine, as the router may not lead back"
    return answer, place


@dataclass(frozen=True)
class Published(Check):
    """One of the files, by a name that may lead to another machine: stale and half copies are what breaks there."""

    form = "well-known.{0.document}"
    asks = "a well-known file is live as declared: content, type, and readable by any website (CORS)"
    remote = True
    depth = 3

    domain: str
    path: str
    file: str = ""
    content: str = field(default="", repr=False)

    @property
    def document(self) -> str:
        """What the file is called."""
        return self.path.rpartition("/")[2]

    @property
    def after(self) -> tuple[str, ...]:
        return ("ports.443", SERVER)

    def look(self, host: Host) -> Finding:
        url = f"https://{self.domain}{self.path}"
        answer, place = fetched(host, url, self.domain)
        here = place in addresses(host) or place.startswith("this machine")
        cure = "matrix-baremetal plan" if here else f"put what {self.file} holds there, on the other machine"
        asked = f"asked {place}"
        if place == NOBODY:
            return self.skipped(f"see dns.a.{self.domain}")
        if answer.fault:
            return self.failed(
                f"{url} does not answer", answer.fault, asked, next="matrix-baremetal doctor tls web.https"
            )
        if answer.status != 200:
            to = f", location {answer.headers['location']}" if "location" in answer.headers else ""
            return self.failed(f"{url} is not there", f"status {answer.status}{to}", asked, next=cure)
        wrong = [*differences(json.loads(self.content), answer.body), *self._headers(answer)]
        if wrong:
            return self.failed(f"{url} is not as it should be", *wrong, asked, next=cure)
        return self.fine(f"{url} is as declared", asked)

    def _headers(self, answer: Response) -> list[str]:
        wrong = []
        if answer.kind != "application/json":
            wrong.append(f"its type is {answer.kind or 'not said'}, and some clients want application/json")
        if answer.headers.get("access-control-allow-origin") != "*":
            wrong.append("it has no header Access-Control-Allow-Origin: *, so clients in browsers can't read it")
        return wrong


def differences(wanted: dict[str, Any], body: bytes) -> list[str]:
    """What of the declared keys is missing or other; keys beside them are somebody's own."""
    try:
        live = json.loads(body)
    except ValueError:
        return [f"it is no JSON: {body[:60].decode('utf-8', 'replace')!r}"]
    if not isinstance(live, dict):
        return ["it is no JSON object"]
    return [
        f"{key} is {json.dumps(live.get(key), ensure_ascii=False)[:200]}, not {json.dumps(value, ensure_ascii=False)}"
        for key, value in wanted.items()
        if live.get(key) != value
    ]
