"""The daily look: what is new, what is another, what is mended; nothing is told twice, and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import growth, watch
from matrix_baremetal.checks.declared import Runs
from matrix_baremetal.commands import doctor as command
from matrix_baremetal.commands import doctor_changes
from matrix_baremetal.commands.doctor_changes import look, say
from matrix_baremetal.findings import Finding, State
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from tests.check_breaks import a_machine
from tests.fakes import FakeHost, Machine, a_session

Captured = pytest.CaptureFixture[str]


def finding(state: State, message: str = "1 thing is wrong", id: str = "drift") -> Finding:
    return Finding(id, state, message, ("a line",), "mend it")


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, finding("fail"), True),
        (None, finding("warn"), True),
        (None, finding("info"), False),
        (None, finding("pass"), False),
        (finding("fail"), finding("fail"), False),
        (finding("fail", "3 days old"), finding("fail", "4 days old"), False),
        (finding("warn"), finding("fail"), True),
        (finding("fail"), finding("fail", "something else is wrong"), True),
        (finding("fail"), finding("pass", "all is well"), True),
        (finding("fail"), finding("info", "good to know"), True),
        (finding("fail"), finding("skip", "see units.nginx"), False),
    ],
)
def test_only_what_is_other_than_before_is_told(before: Finding | None, now: Finding, told: bool) -> None:
    known = {before.id: watch.known(before)} if before else {}
    assert bool(watch.news(known, [now])) is told


def test_what_can_not_be_asked_is_remembered_as_it_was_and_told_once_it_is_mended() -> None:
    before = {"drift": watch.known(finding("fail"))}
    kept = watch.bad_now(before, [finding("skip", "see units.nginx")], some=False)
    assert kept == before
    assert watch.news(kept, [finding("fail")]) == []
    assert watch.news(kept, [finding("pass")]) == [finding("pass")]
    assert watch.bad_now(kept, [finding("pass")], some=False) == {}


def test_where_some_are_asked_the_others_stay_known_and_else_what_is_gone_is_forgotten() -> None:
    before = {"drift": watch.known(finding("fail")), "gone": watch.known(finding("warn"))}
    assert set(watch.bad_now(before, [finding("fail")], some=True)) == {"drift", "gone"}
    assert set(watch.bad_now(before, [finding("fail")], some=False)) == {"drift"}


def test_its_note_is_roots_alone_and_a_broken_one_is_none(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path))
    host.mkdir("/var/lib/matrix-baremetal", 0o755)
    watch.write(host, {"drift": watch.known(finding("fail"))})
    assert watch.read(host) == {"drift": watch.Known("fail", "# thing is wrong")}
    assert oct(host.path(watch.PATH).stat().st_mode)[-3:] == "600"
    for text in ("", "nonsense", "[]", '{"bad": [1]}', '{"bad": {"drift": {}}}'):
        host.write(watch.PATH, text, 0o600)
        assert watch.read(host) == {}


def test_day_after_day_a_fault_is_told_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    machine = a_machine(tmp_path)
    checks = command.of(a_session(machine))

    def told() -> list[tuple[str, State]]:
        findings, news = look(FakeHost(machine), checks, some=False, again=0)
        assert len(findings) == len(checks)
        return [(each.id, each.state) for each in news]

    assert told() == []
    machine.unit("nginx.service").active = False
    assert told() == [("units.nginx", "fail")]
    assert told() == []
    machine.unit("nginx.service").active = True
    assert told() == [("units.nginx", "pass")]
    assert told() == []


def test_what_is_wrong_for_a_moment_is_no_news(tmp_path: Path) -> None:
    machine = a_machine(tmp_path)

    asked = []

    class Once(Runs):
        """Fails the first time."""

        form = ""

        def look(self, host: Host) -> Finding:
            asked.append(1)
            return self.failed("down", next="x") if len(asked) == 1 else self.fine("up")

    findings, news = look(FakeHost(machine), [Once("nginx.service")], some=False, again=0)
    assert (news, [each.state for each in findings], len(asked)) == ([], ["pass"], 2)


def test_how_full_the_disks_are_is_remembered_once_a_day(tmp_path: Path) -> None:
    machine = a_machine(tmp_path)
    now = a_session(machine)
    for _ in range(2):
        doctor_changes.remember(now, command.of(now))
    [sample] = growth.read(now.host)
    assert set(sample.used) == {"/", "/var/lib/matrix-baremetal", "/var/lib/matrix-synapse/media"} | {
        path for path in sample.used if "postgresql" in path
    }
    assert sample.parts == {"database": 8388608, "media": 9 << 20, "media of other servers": 4 << 20}
    machine.unit("postgresql@15-main.service").active = False
    doctor_changes.remember(now, command.of(now))
    assert set(growth.read(now.host)[0].used) == set(sample.used)


def words(**more: object) -> Namespace:
    return Namespace(**({"json": False, "quiet": False, "verbose": False, "ids": [], "wait": 0} | more))


def test_a_person_reads_sentences_and_the_journal_how_urgent_each_line_is(capsys: Captured) -> None:
    news = [finding("fail"), finding("warn", "2 things", "disk.state"), finding("pass", "it runs", "units.nginx")]
    say("example.org", [*news, finding("fail", id="old")], news, 1.0, words())
    person = capsys.readouterr().out.splitlines()
    assert person[:3] == ["✗ drift: 1 thing is wrong", "    a line", "    next: mend it"]
    assert person[-2] == "✓ units.nginx is no longer at fault: it runs"
    assert person[-1] == "example.org: 2 faults, 1 warning, 1 fine; 1 as at the last look."
    assert not any(line.startswith("<") or not line.strip() for line in person)


def test_to_the_journal_each_line_begins_with_its_priority(tmp_path: Path) -> None:
    script = (
        "import os, sys; seen = os.fstat(1); os.environ['JOURNAL_STREAM'] = f'{seen.st_dev}:{seen.st_ino}'\n"
        "from tests.unit.test_watch import finding, say, words\n"
        "news = [finding('fail'), finding('warn'), finding('pass')]\n"
        "say('example.org', news, news, 1.0, words())\n"
    )
    out = tmp_path / "out"
    with out.open("w") as file:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        subprocess.run([sys.executable, "-c", script], stdout=file, check=True, env=environment)
    lines = out.read_text().splitlines()
    assert [line[:3] for line in lines] == ["<3>"] * 3 + ["<4>"] * 3 + ["<5>", "<6>"]


def test_the_document_has_the_news_alone_and_quiet_says_nothing_where_there_are_none(capsys: Captured) -> None:
    say("example.org", [finding("fail"), finding("pass", id="x")], [finding("fail")], 1.0, words(json=True))
    document = json.loads(capsys.readouterr().out)
    assert (document["counts"]["fail"], [row["id"] for row in document["changes"]]) == (1, ["drift"])
    say("example.org", [finding("fail")], [], 1.0, words(quiet=True))
    assert capsys.readouterr().out == ""


def test_it_waits_for_another_run_and_lets_the_next_one_begin(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path))
    doctor_changes.waited(host, 0)
    with locked(host, "apply"):
        pass
