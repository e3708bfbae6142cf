"""The loop, over a few resources that know nothing but a file each."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import pytest

from matrix_baremetal import report
from matrix_baremetal.converge import Change, converge, ensure, plan
from matrix_baremetal.errors import Error, Pending
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import PATH, Manifest
from matrix_baremetal.resources.files import File, Secret
from matrix_baremetal.resources.resource import Reader, Resource
from tests.fakes import FakeHost, Machine


@dataclass(frozen=True)
class Thing(Resource):
    """A word in a file; `mood` says how making it goes."""

    path: str
    word: str = "a"
    password: str = field(default="", repr=False)
    mood: str = field(default="", compare=False)

    def find(self, host: Host) -> Self | None:
        text = host.text(self.path)
        return None if text is None else replace(self, **json.loads(text))

    def make(self, host: Host, found: Self | None) -> None:
        if self.mood == "pending":
            raise Pending("not yet")
        if self.mood == "fails":
            raise Error("it fails", hint="try something else")
        word = "another" if self.mood == "lies" else self.word
        host.write(self.path, json.dumps({"word": word, "password": self.password}), 0o644)

    def undo(self, host: Host) -> None:
        host.run("sync", "-f", str(host.path(self.path)))
        host.remove(self.path)


@dataclass(frozen=True)
class Live(Thing):
    """A thing of a running system."""

    live: ClassVar[bool] = True


@dataclass(frozen=True)
class Spare(Thing):
    """A thing that the others do without."""

    @property
    def spare(self) -> bool:
        return True


@dataclass(frozen=True)
class Reading(Reader):
    """Reads files, and is stale when they differ from its copy."""

    path: str
    of: tuple[str, ...] = field(default=(), compare=False)
    stale: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        return self.of

    def staled(self) -> Self:
        return replace(self, stale=True)

    def find(self, host: Host) -> Self | None:
        seen = host.text(self.path)
        return None if seen is None else replace(self, stale=seen != self._now(host))

    def make(self, host: Host, found: Self | None) -> None:
        host.write(self.path, self._now(host), 0o644)

    def _now(self, host: Host) -> str:
        return "|".join(host.text(path) or "" for path in self.of)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def run(machine: Machine, *resources: Resource, live: bool = True, whole: bool = True) -> list[Change]:
    host = FakeHost(machine, live=live)
    return [c for c in converge(resources, host, Manifest.read(host), whole=whole) if c.ended]


def planned(machine: Machine, *resources: Resource) -> list[Change]:
    host = FakeHost(machine)
    return list(plan(resources, host, Manifest.read(host)))


def names(changes: Sequence[Change]) -> list[tuple[str, str]]:
    return [(change.verb, change.name) for change in changes]


A, B, C = Thing("/etc/a"), Thing("/etc/b"), Thing("/etc/c")


def test_things_are_made_in_their_order_and_each_is_told_as_it_begins_and_ends(machine: Machine) -> None:
    host = FakeHost(machine)
    told = [(c.outcome, c.name) for c in converge((B, A), host, Manifest.read(host))]
    assert told == [("begun", "/etc/b"), ("done", "/etc/b"), ("begun", "/etc/a"), ("done", "/etc/a")]


def test_a_run_over_what_is_there_does_not_write_even_the_manifest(machine: Machine) -> None:
    run(machine, A, B)
    before = {path: machine.at(path).stat().st_mtime_ns for path in (PATH, "/etc/a")}
    host = FakeHost(machine)
    assert list(converge((A, B), host, Manifest.read(host))) == []
    assert host.operations == 0
    assert {path: machine.at(path).stat().st_mtime_ns for path in before} == before


def test_what_is_there_already_and_as_it_should_be_becomes_ours(machine: Machine) -> None:
    machine.put("/etc/a", json.dumps({"word": "a", "password": ""}))
    assert run(machine, A) == []
    assert Manifest.read(FakeHost(machine)).ours(A)


def test_a_plan_says_what_a_run_would_do_and_writes_nothing(machine: Machine) -> None:
    run(machine, A, C)
    resources = (replace(A, word="b"), B)
    before = machine.tree()
    foreseen = names(planned(machine, *resources))
    assert machine.tree() == before
    assert foreseen == [("update", "/etc/a"), ("create", "/etc/b"), ("remove", "/etc/c")]
    assert names(run(machine, *resources)) == foreseen


def test_who_reads_what_changes_is_planned_to_look_again(machine: Machine) -> None:
    reader = Reading("/etc/reader", of=("/etc/a",))
    run(machine, A, reader)
    assert planned(machine, A, reader) == []
    changed = replace(A, word="b")
    assert names(planned(machine, changed, reader)) == [("update", "/etc/a"), ("update", "/etc/reader")]
    assert names(planned(machine, reader, changed)) == [("update", "/etc/a")]
    assert names(planned(machine, changed, reader, reader)) == [("update", "/etc/a"), ("update", "/etc/reader")]
    assert names(run(machine, changed, reader)) == [("update", "/etc/a"), ("update", "/etc/reader")]


def test_what_is_pending_is_told_and_the_rest_is_made(machine: Machine) -> None:
    changes = run(machine, replace(A, mood="pending"), B)
    assert [(c.outcome, c.reason) for c in changes] == [("pending", "not yet"), ("done", None)]
    assert names(run(machine, A, B)) == [("create", "/etc/a")]


def test_what_is_spare_and_fails_is_pending_with_what_to_do(machine: Machine) -> None:
    (change, after) = run(machine, Spare("/etc/a", mood="fails"), B)
    assert (change.outcome, change.reason, change.hint) == ("pending", "it fails", "try something else")
    assert after.outcome == "done"
    assert names(run(machine, Spare("/etc/a"), B)) == [("create", "/etc/a")]


def test_an_error_stops_the_run_with_all_of_it_announced(machine: Machine) -> None:
    with pytest.raises(Error, match="it fails"):
        run(machine, A, replace(B, mood="fails"), C)
    manifest = Manifest.read(FakeHost(machine))
    assert [key for _, key in manifest.entries] == ["/etc/a", "/etc/b", "/etc/c"]
    assert not machine.at("/etc/c").exists()
    assert names(run(machine, A, B, C)) == [("create", "/etc/b"), ("create", "/etc/c")]


def test_what_is_still_not_as_it_should_be_after_making_is_an_error_that_says_how(machine: Machine) -> None:
    with pytest.raises(Error, match="still not as it should be: word is another, not a"):
        run(machine, replace(A, mood="lies"))


def test_what_was_announced_and_never_made_can_be_taken_back(machine: Machine) -> None:
    with pytest.raises(Error):
        run(machine, replace(A, mood="fails"), B)
    assert names(run(machine)) == [("remove", "/etc/b"), ("remove", "/etc/a")]
    assert Manifest.read(FakeHost(machine)).entries == {}


def test_what_nobody_asks_for_any_more_is_undone_the_latest_first(machine: Machine) -> None:
    run(machine, A, B, C)
    machine.started.clear()
    assert names(run(machine, B)) == [("remove", "/etc/c"), ("remove", "/etc/a")]
    assert [started.argv[-1][-2:] for started in machine.started] == ["/c", "/a"]
    assert run(machine, B) == []


def test_a_part_of_a_site_undoes_nothing(machine: Machine) -> None:
    run(machine, A, B)
    assert run(machine, B, whole=False) == []
    assert machine.at("/etc/a").exists()


def test_data_is_only_forgotten(machine: Machine) -> None:
    run(machine, Secret("/etc/secret", invent=lambda: "x"))
    assert names(run(machine)) == [("forget", "/etc/secret")]
    assert machine.at("/etc/secret").read_text() == "x"
    assert run(machine) == []


def kept(machine: Machine) -> Iterator[str]:
    """What was kept aside."""
    place = machine.at("/var/lib/matrix-baremetal/displaced")
    yield from (path.read_text() for path in sorted(place.rglob("*")) if path.is_file())


def test_a_hand_edit_is_told_and_kept_before_ours_goes_back(machine: Machine) -> None:
    file = File("/etc/f", "ours\n")
    run(machine, file)
    machine.put("/etc/f", "theirs\n")
    [change] = planned(machine, file)
    assert change.edited
    [done] = run(machine, file)
    assert machine.at("/etc/f").read_text() == "ours\n"
    assert [machine.at(path).read_text() for path in done.kept] == ["theirs\n"] == list(kept(machine))


def test_what_stood_there_before_us_is_kept_as_well(machine: Machine) -> None:
    machine.put("/etc/f", "theirs\n")
    run(machine, File("/etc/f", "ours\n"))
    assert list(kept(machine)) == ["theirs\n"]


def test_our_own_old_state_is_not_kept(machine: Machine) -> None:
    run(machine, File("/etc/f", "old\n"))
    [change] = run(machine, File("/etc/f", "new\n"))
    assert not change.edited
    assert list(kept(machine)) == []


def test_an_edited_file_that_nobody_asks_for_any_more_is_kept_when_it_goes(machine: Machine) -> None:
    run(machine, File("/etc/f", "ours\n"))
    machine.put("/etc/f", "theirs\n")
    run(machine)
    assert not machine.at("/etc/f").exists()
    assert list(kept(machine)) == ["theirs\n"]


def test_without_the_manifest_nothing_is_lost_and_nothing_is_undone(machine: Machine) -> None:
    run(machine, File("/etc/f", "ours\n"), A)
    machine.put("/etc/f", "theirs\n")
    machine.put(PATH, '{"resources": [')
    assert names(run(machine, File("/etc/f", "ours\n"))) == [("update", "/etc/f")]
    assert list(kept(machine)) == ["theirs\n"]
    assert machine.at("/etc/a").exists()


def test_what_lives_on_a_running_system_waits_for_the_first_boot_in_a_folder(machine: Machine) -> None:
    live = Live("/etc/live")
    [waiting, made] = run(machine, live, A, live=False)
    assert (waiting.outcome, waiting.reason, made.outcome) == ("deferred", "waits for the first boot", "done")
    assert not machine.at("/etc/live").exists()


def test_a_run_that_is_left_can_be_gone_on_with(machine: Machine) -> None:
    host = FakeHost(machine)
    changes = converge((A, B), host, Manifest.read(host))
    next(changes)
    next(changes)
    assert isinstance(changes, Generator)
    changes.close()
    assert not machine.at("/etc/b").exists()
    assert names(run(machine, A, B)) == [("create", "/etc/b")]


def test_secrets_are_masked_in_what_differs_in_json_and_on_the_page(machine: Machine) -> None:
    run(machine, replace(A, password="hunter2"))
    for wanted in (replace(A, password="hunter3"), replace(B, password="hunter4")):
        [change, *_] = planned(machine, wanted)
        shown = [repr(wanted), repr(change), json.dumps(report.row(change)), *report.details(change, verbose=True)]
        assert not any("hunter" in text for text in shown)
        assert any("secret" in row.after for row in change.differences if row.field == "password")


def test_things_that_a_command_asks_for_are_made_where_they_are_missing(machine: Machine) -> None:
    host = FakeHost(machine)
    ensure((A, B), host)
    operations = host.operations
    ensure((A, B), host)
    assert host.operations == operations
    assert not machine.at(PATH).exists()


def test_what_waits_for_the_first_boot_is_not_made_for_a_command_either(machine: Machine) -> None:
    ensure((Live("/etc/live"), A), FakeHost(machine, live=False))
    assert not machine.at("/etc/live").exists()
    assert machine.at("/etc/a").exists()


def test_what_has_read_a_thing_that_is_gone_looks_again(machine: Machine) -> None:
    """In the same run, and the plan says so."""
    reading = Reading("/etc/copy", ("/etc/a-thing",))
    host = FakeHost(machine)
    list(converge((Thing("/etc/a-thing"), reading), host, Manifest.read(host)))
    assert [change.name for change in plan([reading], host, Manifest.read(host))] == ["/etc/a-thing", "/etc/copy"]
    names = [change.name for change in converge([reading], host, Manifest.read(host)) if change.ended]
    assert names == ["/etc/a-thing", "/etc/copy"]
    assert list(plan([reading], host, Manifest.read(host))) == []
