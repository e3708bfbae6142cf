"""Ports as another machine sees them: what it is sent, what comes back, and what is said of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal import probe_from
from matrix_baremetal.checks.probed import Outside
from matrix_baremetal.checks.tls import leaf
from matrix_baremetal.commands import doctor_probe
from matrix_baremetal.errors import Error
from matrix_baremetal.probe_from import Knock, Question
from matrix_baremetal.shell import Result
from tests.check_breaks import SITE, a_machine
from tests.fakes import FakeHost, Machine, a_session

OURS = hashlib.sha256(b"ours").hexdigest()
WEB = Outside("tcp", 443, "clients", Question("matrix.example.org", 443, "tcp", True), "/chain.pem")


class Elsewhere(Machine):
    """A machine with ssh; the other one is this one too, with its real loopback."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.commands: list[tuple[str, ...]] = []
        self.answer: Result | None = None
        self.put("/usr/bin/ssh", "")

    def program(self, argv: tuple[str, ...], input: str | None) -> Result:
        """ssh is known here as well."""
        if argv[0] != "ssh":
            return super().program(argv, input)
        self.commands.append(argv)
        if self.answer:
            return self.answer
        words = (sys.executable, *argv[argv.index("python3") + 1 :])
        done = subprocess.run(words, input=input, capture_output=True, text=True, check=False, timeout=30)
        return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def machine(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path)


@contextlib.contextmanager
def serving(kind: int, family: int = socket.AF_INET) -> Iterator[socket.socket]:
    """A socket of loopback, at a port that nobody else has."""
    with socket.socket(family, kind) as made:
        made.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            made.listen()
        yield made


def port(made: socket.socket) -> int:
    return int(made.getsockname()[1])


def test_a_port_that_is_open_and_one_that_is_not(machine: Elsewhere) -> None:
    with serving(socket.SOCK_STREAM) as open, serving(socket.SOCK_STREAM) as gone:
        closed = port(gone)
        gone.close()
        questions = [Question("127.0.0.1", number, "tcp") for number in (port(open), closed)]
        questions.append(Question("no-such-name.invalid", 443, "tcp"))
        answers = probe_from.ask(FakeHost(machine), "ssh:me@shell.example.net:2222", questions)
    assert answers == [(Knock("127.0.0.1", "open"),), (Knock("127.0.0.1", "refused"),), ()]
    words = ("ssh", *probe_from.OPTIONS, "-l", "me", "-p", "2222", "--", "shell.example.net", "python3", "-I", "-")
    assert machine.commands == [words]


def test_a_port_that_says_nothing(machine: Elsewhere) -> None:
    with serving(socket.SOCK_DGRAM) as silent:
        question = Question("127.0.0.1", port(silent), "udp", patience=0.3)
        assert probe_from.ask(FakeHost(machine), "ssh:a.b", [question]) == [(Knock("127.0.0.1", "silent"),)]


def test_a_stun_server_is_known_by_its_answer(machine: Elsewhere) -> None:
    def answer(server: socket.socket) -> None:
        data, client = server.recvfrom(100)
        assert struct.unpack("!HHI", data[:8]) == (1, 0, 0x2112A442)
        server.sendto(struct.pack("!HHI", 0x0101, 0, 0x2112A442) + data[8:20], client)

    with serving(socket.SOCK_DGRAM) as server:
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        question = Question("127.0.0.1", port(server), "udp")
        assert probe_from.ask(FakeHost(machine), "ssh:a.b", [question]) == [(Knock("127.0.0.1", "open"),)]
        thread.join()


def test_which_certificate_is_shown(machine: Elsewhere, tmp_path: Path) -> None:
    place = tmp_path / "tls"
    place.mkdir()
    make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    files = ("-keyout", str(place / "key"), "-out", str(place / "cert"), "-subj", "/CN=matrix.example.org")
    subprocess.run((*make, *files), check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "cert", place / "key")

    def serve(server: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True) as secret:
            secret.recv(1)

    with serving(socket.SOCK_STREAM) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        [[knock]] = probe_from.ask(FakeHost(machine), "ssh:a.b", [Question("127.0.0.1", port(server), "tcp", True)])
        thread.join()
    chain = (place / "cert").read_text()
    machine.put("/chain.pem", chain + chain)
    assert knock == Knock("127.0.0.1", "open", hashlib.sha256(leaf(FakeHost(machine), "/chain.pem")).hexdigest())
    machine.put("/chain.pem", "nothing")
    assert leaf(FakeHost(machine), "/chain.pem") == b""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ssh:shell.example.net", ("--", "shell.example.net")),
        ("ssh://me@shell.example.net:22", ("-l", "me", "-p", "22", "--", "shell.example.net")),
    ],
)
def test_who_is_asked(text: str, words: tuple[str, ...]) -> None:
    assert probe_from.place(text) == words


@pytest.mark.parametrize(
    "text", ["shell.example.net", "ssh:", "ssh:-oProxyCommand=x", "ssh:a b", "ssh:a:99999", "ssh:a;b"]
)
def test_what_names_no_machine(text: str) -> None:
    with pytest.raises(ValueError, match="write one like ssh:me@"):
        probe_from.place(text)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "[]",
        "hello",
        '[[{"address": "1.2.3.4", "state": "on fire", "certificate": ""}]]',
        '[[{"address": "\\u001b[2J", "state": "open", "certificate": ""}]]',
        '[[{"address": "1.2.3.4", "state": "open", "certificate": "x"}]]',
        '[["open"]]',
        "[[], []]",
    ],
)
def test_nonsense_from_there_is_not_believed(machine: Elsewhere, said: str) -> None:
    machine.answer = Result(0, said, "")
    with pytest.raises(Error, match="something else than was asked"):
        probe_from.ask(FakeHost(machine), "ssh:a.b", [Question("a.b", 1, "tcp")])


def test_why_it_could_not_be_asked(machine: Elsewhere) -> None:
    machine.answer = Result(255, "", "root@a.b: Permission denied (publickey).\n")
    with pytest.raises(Error, match=r"ssh:a.b could not be asked: .*Permission denied") as told:
        probe_from.ask(FakeHost(machine), "ssh:a.b", [])
    assert told.value.hint == "ssh -- a.b python3 -V"
    machine.at("/usr/bin/ssh").unlink()
    with pytest.raises(Error, match="ssh is not installed"):
        probe_from.ask(FakeHost(machine), "ssh:a.b", [])


@pytest.mark.parametrize(
    ("knocks", "state", "says"),
    [
        ((Knock("192.0.2.1", "open", OURS), Knock("2001:db8::1", "away")), "pass", "is reached"),
        (
            (Knock("192.0.2.1", "open", OURS), Knock("2001:db8::1", "silent")),
            "fail",
            "a firewall or a router keeps it",
        ),
        ((Knock("192.0.2.1", "refused"),), "fail", "another machine"),
        ((Knock("192.0.2.1", "open", "none"),), "fail", "somebody else than this machine"),
        ((Knock("2001:db8::1", "away"),), "warn", "no way to any address"),
        ((), "fail", "does not resolve"),
    ],
)
def test_what_is_said_of_it(machine: Elsewhere, knocks: tuple[Knock, ...], state: str, says: str) -> None:
    pem = ssl.DER_cert_to_PEM_cert(b"ours")
    machine.put("/chain.pem", pem)
    finding = replace(WEB, knocks=knocks).look(FakeHost(machine))
    assert (finding.id, finding.state) == ("outside.tcp.443", state)
    assert says in finding.message
    assert (finding.next == "") == (state == "pass")


def test_every_port_that_is_to_be_reached_is_asked_and_those_alone(tmp_path: Path) -> None:
    machine = Elsewhere(tmp_path)
    a_machine(tmp_path, SITE, machine)
    now = a_session(machine, SITE)
    asked = {each.id: each for each in doctor_probe.checks(now, "ssh:a.b")}
    assert {"outside.tcp.443", "outside.tcp.3478", "outside.udp.3478", "outside.udp.49152"} <= {*asked}
    assert "outside.tcp.8008" not in asked
    answers = [[{"address": "192.0.2.1", "state": "open", "certificate": ""}]]
    open = [each for each in asked.values() if isinstance(each, Outside) and each.question]
    machine.answer = Result(0, json.dumps(answers * len(open)), "")
    found = {each.id: each.look(now.host) for each in doctor_probe.asked([*asked.values()], now.host, "ssh:a.b")}
    assert found["outside.tcp.3478"].state == "pass"
    assert found["outside.tcp.443"].state == "fail", "no certificate was shown"
    assert found["outside.udp.49152"].state == "info"
    with pytest.raises(doctor_probe.Nowhere):
        list(doctor_probe.checks(now, "shell.example.net"))
