"""A provider of dynamic DNS that speaks dyndns2, and says at /address from where it was asked.

    with dyndns.provider(lab, "dyn-13", octet, "user:password", names) as theirs:   # https://dyn-13.test
        theirs.asked()          # (name, address, answer) of each update
        theirs.sees("10.77.0.251")

`python -m tests.lab.dyndns CERT KEY HOME ADDRESS` is the server: HOME/login holds user:password, HOME/address what it
says in place of the truth, HOME/names the names that it has. An update sets the A record in the lab's DNS.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from . import network
from .acme_proxy import Server
from .lab import Lab
from .places import REPOSITORY, RUN, lock
from .programs import daemon, wait_for
from .zone import Dns


class Door(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    home = Path()

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/address":
            told = self.home / "address"
            self.say(200, told.read_text() if told.exists() else self.client_address[0])
            return
        if asked.path != "/nic/update":
            self.say(404, "")
            return
        query = parse_qs(asked.query)
        name, address = query["hostname"][0], query.get("myip", [""])[0]
        answer = self.update(name, address)
        with (self.home / "asked").open("a") as log:
            log.write(json.dumps([name, address, answer]) + "\n")
        self.say(200, answer)

    def update(self, name: str, address: str) -> str:
        """What the protocol answers (help.dyn.com/remote-access-api/return-codes)."""
        given = base64.b64decode((self.headers.get("Authorization") or "").removeprefix("Basic ")).decode()
        if given != (self.home / "login").read_text():
            return "badauth"
        if name not in (self.home / "names").read_text().split():
            return "nohost"
        Dns().set(name, a=[address])
        return f"good {address}"

    def say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


@dataclass(frozen=True)
class Provider:
    """The server, as a test handles it."""

    name: str
    home: Path

    def sees(self, address: str) -> None:
        """Everybody is said to come from this address from now on."""
        (self.home / "address").write_text(address)

    def asked(self) -> list[tuple[str, str, str]]:
        """The updates that were asked for: name, address, answer."""
        log = self.home / "asked"
        return [tuple(json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []


@contextlib.contextmanager
def provider(lab: Lab, host: str, octet: int, login: str, names: Sequence[str]) -> Iterator[Provider]:
    """The server, as HOST.test at an address of its own, for `login` (user:password), who has these names."""
    domain, home = f"{host}.test", RUN / "dyndns" / host
    with lock(f"guest-{host}"):
        for file in home.glob("*"):
            file.unlink()
        home.mkdir(parents=True, exist_ok=True)
        (home / "login").write_text(login)
        (home / "names").write_text("\n".join(names))
        network.unplug(host)
        space = network.plug(host, octet)
        lab.dns.set(domain, a=[network.ip4(octet)])
        pair = map(str, lab.certificate(domain))
        words = ("nsenter", f"--net={space}", "--", "env", f"--chdir={REPOSITORY}", sys.executable, "-m", __name__)
        server = daemon((*words, *pair, str(home), network.ip4(octet)), home / "log")
        try:
            wait_for((home / "ready").exists, "the provider of dynamic DNS", 10, f"see {home}/log")
            yield Provider(domain, home)
        finally:
            server.kill()
            network.unplug(host)
            lab.dns.reset(domain)
            for name in names:
                lab.dns.reset(name)


def main(argv: Sequence[str]) -> None:
    certificate, key, home, address = argv
    Door.home = Path(home)
    server = Server((address, 443), Door)
    server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.context.load_cert_chain(certificate, key)
    (Door.home / "ready").touch()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
