"""Whether a mail server would take our mail, asked of one that is some lines on the loopback address."""

from __future__ import annotations

import base64
import socketserver
import threading
from collections.abc import Iterator

import pytest

from matrix_baremetal.smtp import MailServer, fault


class Talk(socketserver.StreamRequestHandler):
    """RFC 5321, as far as a login goes."""

    def handle(self) -> None:
        """Answer each line."""
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            assert isinstance(self.server, Server)
            if word == b"EHLO":
                self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word == b"AUTH":
                self.server.logins.append(base64.b64decode(line.split()[2]).decode())
                good = self.server.logins[-1].endswith("pässword €")
                self.wfile.write(b"235 in\r\n" if good else b"535 who are you\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 yes\r\n")


class Server(socketserver.ThreadingTCPServer):
    """One that remembers with what somebody wanted to log in."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.logins: list[str] = []


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.parametrize(
    ("password", "said"), [("pässword €", ""), ("wörd", "it refuses the login of jürgen: who are you")]
)
def test_a_login_may_have_any_letters_as_synapses_has(password: str, said: str, server: Server) -> None:
    asked = MailServer("127.0.0.1", server.server_address[1], "none", "jürgen", password)
    assert fault(asked) == said
    assert server.logins == [f"\0jürgen\0{password}"]
