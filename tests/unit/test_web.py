"""Requests to web servers on the loopback address: what comes back, and each way in which nothing does."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from matrix_baremetal import web
from matrix_baremetal.web import Request


class Echo(BaseHTTPRequestHandler):
    """Says what was asked for, and takes bodies up to 1000 bytes."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"{self.path} {self.headers['Host']}".encode()
        self.send_response(404)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"])).decode()
        body = f"{self.headers['Content-Type']} {self.headers['Authorization']} {sent}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_expect_100(self) -> bool:
        self.send_response_only(100 if int(self.headers["Content-Length"]) <= 1000 else 413)
        self.end_headers()
        return False

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def plain() -> Iterator[int]:
    """A server's port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A server that speaks TLS and HTTP/2's name, with a certificate of its own making for a.test."""
    place = tmp_path_factory.mktemp("tls")
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    make += ["-days", "2", "-subj", "/CN=a", "-addext", "subjectAltName=DNS:a.test"]
    make += ["-keyout", str(place / "key"), "-out", str(place / "pem")]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(place / "pem", place / "key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, place / "pem"
        server.shutdown()


@pytest.mark.parametrize("path", ["/a%2Fb?c=%2F", "/_x/../%2e%2e/y", "/%23a%3Ab"])
def test_a_path_is_sent_as_it_is_to_the_address_that_is_named(path: str, plain: int) -> None:
    answer = web.request(Request(f"http://name.test:8080{path}", ("127.0.0.1", plain)))
    assert (answer.status, answer.body.decode()) == (404, f"{path} name.test:8080")
    assert (answer.kind, answer.certificate, answer.untrusted, answer.fault) == ("text/plain", b"", "", "")


@pytest.mark.parametrize(("size", "status"), [(1000, 100), (1001, 413)])
def test_an_upload_is_announced_and_never_sent(size: int, status: int, plain: int) -> None:
    began = time.monotonic()
    answer = web.request(Request(f"http://127.0.0.1:{plain}/", method="POST", upload=size))
    assert (answer.status, time.monotonic() - began < 1) == (status, True)


def test_a_certificate_that_does_not_hold_is_shown_with_the_answer(secure: tuple[int, Path]) -> None:
    port, pem = secure
    answer = web.request(Request("https://a.test/x", ("127.0.0.1", port)))
    assert (answer.status, answer.protocol) == (404, "http/1.1")
    assert answer.untrusted.startswith("self")
    assert answer.certificate == ssl.PEM_cert_to_DER_cert(pem.read_text())


def test_a_form_is_sent_with_a_login(plain: int) -> None:
    form, login = (("a", "b c"), ("d", "&")), ("matrix", "the secret")
    asked = Request(f"http://127.0.0.1:{plain}/", method="POST", form=form, login=login)
    assert "secret" not in repr(asked)
    answer = web.request(asked)
    # The words are those of RFC 7617.
    assert answer.body.decode() == "application/x-www-form-urlencoded Basic bWF0cml4OnRoZSBzZWNyZXQ= a=b+c&d=%26"


def test_nobody_is_told_a_login_whose_certificate_does_not_hold(secure: tuple[int, Path]) -> None:
    asked = Request("https://a.test/x", ("127.0.0.1", secure[0]), method="POST", form=(("a", "b"),), login=("m", "s"))
    answer = web.request(asked)
    assert (answer.status, answer.body) == (0, b"")
    assert answer.fault.startswith("its certificate does not hold: self")


def test_http_2_is_asked_for_and_not_spoken(secure: tuple[int, Path]) -> None:
    answer = web.request(Request("https://a.test/", ("127.0.0.1", secure[0]), offer=("h2", "http/1.1")))
    assert (answer.status, answer.protocol, bool(answer.certificate)) == (0, "h2", True)


def test_each_way_in_which_nobody_answers_is_said(plain: int) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        free = deaf.getsockname()[1]
        assert web.request(Request(f"http://127.0.0.1:{free}/")).fault == "nothing listens there"
        deaf.listen()
        began = time.monotonic()
        assert web.request(Request(f"http://127.0.0.1:{free}/", timeout=0.3)).fault == "no answer within 0.3 s"
        assert web.request(Request(f"https://127.0.0.1:{free}/", timeout=0.3)).fault == "no answer within 0.3 s"
        assert time.monotonic() - began < 3
    assert web.request(Request(f"https://127.0.0.1:{plain}/")).fault.startswith("no TLS: ")
    assert web.request(Request("http://no-such-name.invalid/")).fault == "the name does not resolve"
    assert web.request(Request("http://a..b/")).fault
