"""Files from a real web server on loopback, over TLS: cut off and gone on with, led elsewhere, too long, refused."""

from __future__ import annotations

import re
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error, Unreached
from matrix_baremetal.fetch import TRIES, fetch

WHOLE = bytes(range(256)) * 4096  # 1 MiB


class Door(BaseHTTPRequestHandler):
    """Answers as the test says; notes what it was asked for."""

    def do_GET(self) -> None:
        server: Server = self.server  # type: ignore[assignment]
        server.asked.append(self.headers.get("Range") or "")
        server.answer(self)

    def say(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        """An answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def file(self, whole: bytes, most: int = 1 << 30) -> None:
        """A file, from where it was asked for; after `most` bytes the connection breaks."""
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        begin = int(found[1]) if found else 0
        if begin >= len(whole) > 0:
            self.say(416, Content_Range=f"bytes */{len(whole)}")
            return
        headers = {"Content_Range": f"bytes {begin}-{len(whole) - 1}/{len(whole)}"} if found else {}
        self.say(206 if found else 200, whole[begin : begin + most], len(whole) - begin, **headers)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


class Server(ThreadingHTTPServer):
    """One on loopback with a certificate of its own."""

    daemon_threads = True
    answer: Callable[[Door], None] = staticmethod(lambda door: door.file(WHOLE))
    trust: ssl.SSLContext

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.asked: list[str] = []

    def url(self, path: str = "/file") -> str:
        """The address of a path."""
        return f"https://localhost:{self.server_port}{path}"

    def get(self, place: Path, most: int = 2 << 20, path: str = "/file") -> bytes:
        """Fetch it without pauses."""
        fetch(self.url(path), place, most, pause=0, trust=self.trust)
        return place.read_bytes()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost, and its key."""
    place = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext"
    files = ("subjectAltName=DNS:localhost", "-keyout", str(place / "key"), "-out", str(place / "certificate"))
    subprocess.run(("openssl", *words.split(), *files), check=True, capture_output=True)
    return place


@pytest.fixture
def server(pair: Path) -> Iterator[Server]:
    serving = Server()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair / "certificate", pair / "key")
    serving.socket = context.wrap_socket(serving.socket, server_side=True)
    serving.trust = ssl.create_default_context(cafile=str(pair / "certificate"))
    threading.Thread(target=serving.serve_forever, args=(0.01,), daemon=True).start()
    yield serving
    serving.shutdown()
    serving.server_close()


def test_a_file_is_fetched(server: Server, tmp_path: Path) -> None:
    assert server.get(tmp_path / "part") == WHOLE
    assert server.asked == [""]


def test_a_file_that_is_cut_off_is_gone_on_with_as_long_as_something_comes(server: Server, tmp_path: Path) -> None:
    server.answer = lambda door: door.file(WHOLE, most=150_000)
    assert server.get(tmp_path / "part") == WHOLE
    assert len(server.asked) == 7 > TRIES
    assert server.asked[:2] == ["", "bytes=150000-"]


def test_the_next_run_goes_on_where_this_one_gave_up(server: Server, tmp_path: Path) -> None:
    server.answer = lambda door: door.file(WHOLE, most=0 if server.asked[-1] else 400_000)
    with pytest.raises(Unreached, match="cut off after 0 of 648576 bytes") as caught:
        server.get(tmp_path / "part")
    assert caught.value.passes
    server.answer = lambda door: door.file(WHOLE)
    assert server.get(tmp_path / "part") == WHOLE
    assert server.asked[-1] == "bytes=400000-"


def test_what_is_whole_already_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(WHOLE)
    assert server.get(tmp_path / "part") == WHOLE
    assert server.asked == [f"bytes={len(WHOLE)}-"]


def test_a_server_that_knows_no_parts_gives_it_whole(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"some of it")
    server.answer = lambda door: door.say(200, WHOLE)
    assert server.get(tmp_path / "part") == WHOLE


@pytest.mark.parametrize("part", ["bytes 7-1048575/1048576", "bytes */1048576", ""])
def test_another_part_than_was_asked_for_is_never_put_behind_what_is_there(
    part: str, server: Server, tmp_path: Path
) -> None:
    (tmp_path / "part").write_bytes(WHOLE[:1000])
    server.answer = lambda door: (
        door.say(206, WHOLE[7:], Content_Range=part) if server.asked[-1] else door.file(WHOLE)
    )
    assert server.get(tmp_path / "part") == WHOLE


def test_a_file_that_has_become_shorter_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(WHOLE + b"more")
    assert server.get(tmp_path / "part") == WHOLE


def test_a_redirect_leads_on_with_the_part_that_is_wanted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(WHOLE[:1000])
    server.answer = lambda door: (
        door.say(302, Location=server.url("/there")) if door.path == "/file" else door.file(WHOLE)
    )
    assert server.get(tmp_path / "part") == WHOLE
    assert server.asked == ["bytes=1000-"] * 2


@pytest.mark.parametrize("target", ["http://localhost/file", "ftp://localhost/file", "//localhost:1/file"])
def test_a_redirect_out_of_tls_is_refused(target: str, server: Server, tmp_path: Path) -> None:
    server.answer = lambda door: door.say(302, Location=target)
    with pytest.raises(Error, match=r"not encrypted|can't be had"):
        server.get(tmp_path / "part")
    assert not (tmp_path / "part").exists()


def test_plain_http_is_refused_before_anybody_is_asked(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Error, match="not encrypted"):
        fetch(server.url().replace("https", "http"), tmp_path / "part", 1)
    assert server.asked == []


def test_a_file_that_is_too_long_is_not_taken(server: Server, tmp_path: Path) -> None:
    server.answer = lambda door: door.file(WHOLE + b"x")
    with pytest.raises(Error, match="larger than 1 MB"):
        server.get(tmp_path / "part", most=1 << 20)
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (503, TRIES), (429, TRIES)])
def test_what_may_pass_is_tried_again_and_what_will_not_is_not(
    status: int, tries: int, server: Server, tmp_path: Path
) -> None:
    server.answer = lambda door: door.say(status)
    with pytest.raises(Error, match=f"status {status}") as caught:
        server.get(tmp_path / "part")
    assert len(server.asked) == tries
    assert isinstance(caught.value, Unreached) == (tries > 1)


def test_a_certificate_that_nobody_vouches_for_is_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(Error, match="the certificate does not hold: self-signed certificate"):
        fetch(server.url(), tmp_path / "part", 1 << 20, pause=0)
    assert server.asked == []


def test_where_nobody_listens_it_can_be_tried_again_later(tmp_path: Path) -> None:
    with pytest.raises(Unreached, match=r"can't be had: .*refused"):
        fetch("https://127.0.0.1:1/file", tmp_path / "part", 1, pause=0)
