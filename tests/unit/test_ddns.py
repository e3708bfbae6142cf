"""Names that follow a home line: the config's mistakes, what ddclient is given, what comes of its words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matrix_baremetal import preflight
from matrix_baremetal.components import data
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.ddns_run import CONFIG, DAY, NOTE, PLACE, Note, first, noted, update
from matrix_baremetal.errors import Error
from matrix_baremetal.shell import Result
from matrix_baremetal.web import Response
from tests.fakes import MINIMAL, FakeHost, Machine, a_session
from tests.unit.test_config import problems, read

PASSWORD = """of the "dns": {yes}, # 'it\\ is' x=y"""
FILE = "/etc/matrix-baremetal/ddns.password"
ONE = f"provider: dynu, hostnames: [home.example.org], user: alice, password_file: {FILE}"
TEXT = f"{MINIMAL}ddns: {{{ONE}}}\n"
PAGE = "https://api.ipify.org/"
HANDED = "/run/config"
GOOD = "SUCCESS:  updating home.example.org: good: IP address set to 8.8.4.4\n"
REFUSED = "FAILED:   updating home.example.org: badauth: Bad authorization (username or password)\n"
SILENT = "FAILED:   updating home.example.org: Could not connect to api.dynu.com.\n"


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ("provider: dyn, hostnames: [a.b], password_file: /p", "ddns.provider: expected"),
        ("provider: dynu, hostnames: [a.b], password_file: /p", "dynu asks for a user too"),
        ("provider: dynu, hostnames: [], user: a, password_file: /p", "at least one name is expected"),
        ("provider: dynu, hostnames: [a.b, a.b], user: a, password_file: /p", "a.b is listed twice"),
        ("provider: dynu, hostnames: [a.b], user: 'a, b=c', password_file: /p", "is no usable user name"),
        ("provider: dynu, hostnames: [a.b], user: a, password_file: p", "no absolute path"),
        ("provider: duckdns, hostnames: [a.b], user: a, password_file: /p", "asks for a token alone"),
        ("provider: dyndns2, hostnames: [a.b], user: a, password_file: /p", "which one is meant is not said"),
        ("provider: dynu, hostnames: [a.b], server: c.d, user: a, password_file: /p", "the server of dynu is known"),
        ("provider: dynu, hostnames: [a.b], address: 'http://c.d', user: a, password_file: /p", "is not encrypted"),
    ],
)
def test_a_mistake_is_said_with_its_line(inside: str, said: str) -> None:
    found = problems(f"{MINIMAL}ddns: {{{inside}}}\n")
    assert said in found
    assert ":3:" in found


def test_nobody_has_it_who_does_not_ask_for_it() -> None:
    assert read(MINIMAL).ddns is None
    assert read(TEXT).ddns


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine after an install, behind a router."""
    machine = Machine(tmp_path)
    machine.addressed("192.168.1.9")
    machine.put(FILE, f"{PASSWORD}\n", 0o600)
    bring(machine)
    hand_over(machine)
    page(machine, b"8.8.4.4")
    return machine


def bring(machine: Machine, text: str = TEXT) -> list[str]:
    now = a_session(machine, text)
    return [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]


def hand_over(machine: Machine) -> None:
    """What systemd does with a credential."""
    machine.put(HANDED, machine.at(CONFIG).read_text())


def page(machine: Machine, body: bytes, **more: object) -> None:
    machine.internet.answers[PAGE] = lambda seen: Response(200, body=body, **more)  # type: ignore[arg-type]


def run(machine: Machine, said: str, status: str = "", code: int | None = None) -> tuple[Note, list[tuple[str, ...]]]:
    """One run, in which ddclient says so and remembers this state; the note, and how ddclient was called."""
    calls: list[tuple[str, ...]] = []

    def ddclient(words: tuple[str, ...]) -> Result:
        calls.append(words)
        if status:
            name = words[-1].removeprefix("-host=")
            machine.put(f"{PLACE}/{name}.cache", f"## ddclient\natime=1,status={status},wtime=0 {name}\n")
        failed = "FAILED" in said
        ended = int(failed) if code is None else code
        return Result(ended, "" if failed else said, said if failed else "")

    machine.more["ddclient"] = ddclient
    return update(FakeHost(machine), HANDED), calls


class TestWhatIsMade:
    """Files, units, and what goes."""

    def test_ddclient_gets_the_password_as_it_is_in_a_file_for_root_alone(self, machine: Machine) -> None:
        rows = machine.at(CONFIG).read_text().splitlines()
        assert rows[1:5] == [
            "ssl=yes",
            "protocol=dyndns2, server=api.dynu.com, login=alice",
            f"password='{PASSWORD}'",
            "home.example.org",
        ]
        assert machine.at(CONFIG).stat().st_mode & 0o777 == 0o600
        now = a_session(machine, TEXT)
        assert list(plan(now.resources, now.host, now.manifest)) == []

    def test_the_password_is_in_no_plan_and_in_the_backup(self, machine: Machine) -> None:
        machine.put(FILE, "another\n", 0o600)
        now = a_session(machine, TEXT)
        changes = list(plan(now.resources, now.host, now.manifest))
        assert [c.title for c in changes] == [f"file {CONFIG}", "matrix-ddns.timer"]
        assert "another" not in repr(changes)
        assert PASSWORD not in repr(changes)
        assert FILE in data(now.site).files

    def test_a_password_of_two_lines_is_none(self, machine: Machine) -> None:
        machine.put(FILE, "a\nssl=no\n", 0o600)
        with pytest.raises(Error, match="on one line and has more"):
            bring(machine)

    def test_without_a_password_nothing_begins(self, machine: Machine) -> None:
        machine.at(FILE).unlink()
        now = a_session(machine, TEXT)
        found = preflight.obstacles(now.site, now.needs, now.host, now.manifest)
        assert f"{FILE} should hold a password and does not" in [each.message for each in found]

    def test_debians_own_does_not_start_and_debian_12_gets_what_speaks_tls(self, machine: Machine) -> None:
        assert machine.at("/etc/systemd/system/ddclient.service").is_symlink()
        started = [s.argv for s in machine.started if s.argv[:2] == ("apt-get", "install")]
        assert any({"ddclient", "libio-socket-ssl-perl"} <= set(words) for words in started)

    def test_switched_off_it_leaves_nothing(self, machine: Machine) -> None:
        run(machine, GOOD, "good")
        done = bring(machine, MINIMAL)
        assert done[0] == "remove matrix-ddns.timer"
        for path in (PLACE, CONFIG, "/etc/matrix-ddns", "/etc/systemd/system/ddclient.service"):
            assert not machine.at(path).exists()
        assert machine.at(FILE).exists()


class TestRun:
    """What the timer does."""

    def test_the_provider_is_told_what_a_page_elsewhere_sees(self, machine: Machine) -> None:
        note, calls = run(machine, GOOD, "good")
        assert (note.address, note.fault) == ("8.8.4.4", "")
        assert [words[-4:] for words in calls] == [("-daemon=0", "-use=ip", "-ip=8.8.4.4", "-host=home.example.org")]
        assert PASSWORD not in repr(machine.started)
        assert noted(FakeHost(machine)) == note
        again, _ = run(machine, "", "good")
        assert again.since == note.since

    def test_its_own_public_address_goes_first_where_nothing_else_is_said(self, machine: Machine) -> None:
        machine.addressed("9.9.9.9", "2001:db8::9")
        assert run(machine, GOOD, "good")[0].address == "9.9.9.9"
        assert not machine.internet.asked
        bring(machine, TEXT.replace("provider", "address: https://me.example.net/ip, provider"))
        machine.internet.answers["https://me.example.net/ip"] = lambda seen: Response(200, body=b"<b>8.8.8.8</b>")
        assert run(machine, GOOD, "good")[0].address == "8.8.8.8"

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (Response(fault="no answer within 10 s"), "no answer within 10 s"),
            (Response(200, body=b"2001:db8::1"), "no IPv4 address"),
            (Response(200, body=b"8.8.4.4", untrusted="self-signed certificate"), "self-signed certificate"),
        ],
    )
    def test_no_address_is_a_fault_and_nobody_is_asked(self, answer: Response, why: str, machine: Machine) -> None:
        machine.internet.answers[PAGE] = lambda seen: answer
        machine.internet.answers["https://ipv4.nsupdate.info/myip"] = lambda seen: Response(503)
        note, calls = run(machine, GOOD)
        assert why in note.fault
        assert "status 503" in note.fault
        assert (calls, note.final) == ([], False)

    def test_a_wrong_login_is_tried_once_until_it_is_another(self, machine: Machine) -> None:
        note, calls = run(machine, REFUSED, "badauth")
        assert "the provider refuses the user or the password" in note.fault
        assert (note.final, len(calls)) == (True, 1)
        assert run(machine, REFUSED) == (note, [])
        machine.put(FILE, "the right one\n", 0o600)
        bring(machine)
        hand_over(machine)
        note, calls = run(machine, GOOD, "good")
        assert (note.fault, len(calls)) == ("", 1)

    def test_after_a_day_it_is_tried_all_the_same(self, machine: Machine) -> None:
        note, _ = run(machine, REFUSED, "badauth")
        old = json.loads(machine.at(NOTE).read_text()) | {"when": note.when - DAY}
        machine.put(NOTE, json.dumps(old))
        assert run(machine, GOOD, "good")[0].fault == ""

    def test_a_silent_provider_is_asked_on_and_ddclients_own_wait_is_no_success(self, machine: Machine) -> None:
        note, _ = run(machine, SILENT, "noconnect")
        assert "the provider does not answer" in note.fault
        waits, calls = run(machine, "", "noconnect")
        assert (waits.fault, len(calls)) == (note.fault, 1)
        assert run(machine, GOOD, "good")[0].fault == ""

    @pytest.mark.parametrize(
        ("said", "code", "meaning"),
        [
            (
                "FAILED:   updating home.example.org: nohost: The hostname specified does not exist\n",
                1,
                "no such name",
            ),
            ("FAILED:   updating home.example.org: Server said: 'KO'\n", 1, "refuses the token"),
            ("FAILED:   updating home.example.org: authorization failed (HTTP/1.1 401)\n", 1, "refuses the user"),
            ("FAILED:   updating home.example.org: unexpected status (teapot)\n", 1, "did not take it (updating"),
            ("", 2, "ddclient ended with status 2"),
            ("", 0, "does not say why"),
        ],
    )
    def test_each_answer_has_its_words(self, said: str, code: int, meaning: str, machine: Machine) -> None:
        note, _ = run(machine, said, "", code)
        assert note.fault.startswith("home.example.org: ")
        assert meaning in note.fault

    def test_one_name_of_two_that_fails_is_told(self, machine: Machine) -> None:
        bring(machine, TEXT.replace("[home.example.org]", "[home.example.org, www.example.org]"))
        note, calls = run(machine, GOOD, "good")
        assert (note.fault, len(calls)) == ("", 2)
        machine.at(f"{PLACE}/www.example.org.cache").unlink()
        assert run(machine, "")[0].fault.startswith("www.example.org: ")

    def test_notes_that_make_no_sense_are_none(self, machine: Machine) -> None:
        wrong = ('{"since": "x"}', '{"when": null}', '{"since": 1e400}', '{"since": 1e15}', '{"address": 5}')
        for text in ("", "{", "[]", '{"x": 1}', *wrong):
            machine.put(NOTE, text)
            assert noted(FakeHost(machine)) is None


@pytest.mark.parametrize(
    ("body", "address"),
    [(b"1.2.3.4\n", "1.2.3.4"), (b"v 300.1.1.1 or 8.8.8.8.", ""), (b"your ip: 9.9.9.9, ok", "9.9.9.9"), (b"", "")],
)
def test_the_first_address_of_a_page(body: bytes, address: str) -> None:
    assert first(body) == address
