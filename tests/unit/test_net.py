"""What the real network answers us, asked of a web server on the loopback address."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from matrix_baremetal.net import MOST_BYTES, Answer, Net

PAGES = {
    "/good": (200, b'{"a": 1}'),
    "/text": (200, b"<html>"),
    "/list": (200, b"[1]"),
    "/huge": (200, b'{"a": "' + b"x" * MOST_BYTES + b'"}'),
    "/gone": (410, b'{"a": 1}'),
}


class Pages(BaseHTTPRequestHandler):
    """Gives the page; /moved leads to the good one."""

    def do_GET(self) -> None:
        status, body = PAGES.get(self.path, (302, b""))
        self.send_response(status)
        self.send_header("Location", "/good")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serving(server: HTTPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def plain() -> Iterator[int]:
    yield from serving(HTTPServer(("127.0.0.1", 0), Pages))


@pytest.fixture
def selfmade(tmp_path: Path) -> Iterator[int]:
    words = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=x -keyout {tmp_path}/key"
    command = ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-out", f"{tmp_path}/crt"]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    server = HTTPServer(("127.0.0.1", 0), Pages)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from serving(server)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/good", Answer(200, {"a": 1})),
        ("/moved", Answer(200, {"a": 1})),
        ("/text", Answer(200, {})),
        ("/list", Answer(200, {})),
        ("/huge", Answer(200, {})),
        ("/gone", Answer(410, {})),
    ],
)
def test_a_page_is_its_status_and_its_object(path: str, answer: Answer, plain: int) -> None:
    assert Net().get(f"http://127.0.0.1:{plain}{path}") == answer


def test_a_certificate_that_does_not_hold_is_nobody(selfmade: int) -> None:
    assert Net().get(f"https://127.0.0.1:{selfmade}/good").status == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://[::1/", "none://x"])
def test_what_can_not_be_asked_is_nobody(url: str) -> None:
    assert Net().get(url, timeout=2) == Answer(0, {})
