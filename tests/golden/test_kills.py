"""Every case is converged, and killed at and inside every step; the same command run again ends in the same state."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix_baremetal.converge import Change, converge, plan
from matrix_baremetal.resources.opening import OPENED
from tests.fakes import FakeHost, Killed, Machine
from tests.golden.cases import NAMES, Case

# What a run must not leave behind.
LITTER = re.compile(
    r"\.matrix-baremetal-new$|\.building|\.cache$|\.old$|\.new$|\.before$|\.part$|/uv|\.lock$|/displaced/"
)
SIGNING_KEY = "/var/lib/matrix-synapse/signing.key"
SECRETS = "/etc/matrix-baremetal/secrets"
BRIDGES = "/etc/matrix-baremetal/bridges"
FULLEST = "admins"


@pytest.fixture
def folders() -> Iterator[Iterator[Path]]:
    """As many folders as one likes, in memory where that can be had: each write is synced to disk."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield (make(Path(place, str(number))) for number in range(1 << 20))


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def bring(case: Case, machine: Machine, killed_at: int | None = None) -> tuple[list[Change], FakeHost]:
    """One run."""
    host = FakeHost(machine, killed_at)
    now = case.session(host)
    return [change for change in converge(now.resources, host, now.manifest) if change.ended], host


def settled(machine: Machine) -> dict[str, str]:
    """The disk's state, but for what is another on each machine or at each moment: of secrets their length counts."""
    found = machine.tree()
    for path, line in found.items():
        if path == SIGNING_KEY or path.startswith((SECRETS, BRIDGES)):
            found[path] = f"{line.rpartition(' ')[0]} {machine.at(path).stat().st_size if 'file' in line else ''}"
        elif path.endswith(".pem") or path == OPENED:
            found[path] = line.rpartition(" ")[0]
    return found


def good(machine: Machine) -> None:
    """What holds after any run that came to its end."""
    for path, line in machine.tree().items():
        assert not LITTER.search(path), f"{path} was left behind"
        if path == SIGNING_KEY or (path.startswith(f"{SECRETS}/") and line.startswith("file")):
            assert line.startswith("file 0600 root:root"), f"{path} is {line}"
    manifest = json.loads(machine.at("/var/lib/matrix-baremetal/manifest.json").read_text())
    assert all(len(row["states"]) == 1 for row in manifest["resources"]), "the manifest is not settled"


@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_changes_nothing_and_starts_nothing_that_does(name: str, folders: Iterator[Path]) -> None:
    case = Case(name)
    machine = case.machine(next(folders))
    assert bring(case, machine)[0]
    good(machine)
    before = machine.tree()
    machine.started.clear()
    assert bring(case, machine)[0] == []
    assert machine.changing() == []
    assert machine.tree() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_writes_nothing_and_says_what_a_run_changes(name: str, folders: Iterator[Path]) -> None:
    case = Case(name)
    machine = case.machine(next(folders))
    now = case.session(FakeHost(machine))
    before = machine.tree()
    planned = [(change.kind, change.name) for change in plan(now.resources, now.host, now.manifest)]
    assert machine.tree() == before
    assert machine.changing() == []
    made = [(change.kind, change.name) for change in bring(case, machine)[0]]
    rest = iter(planned)
    assert all(key in rest for key in made), "another order, or more than was planned"
    # What is served is there with the self-signed pair already, and one call makes all users; a plan can't know that.
    assert {kind for kind, _ in Counter(planned) - Counter(made)} <= {"Served", "Service", "SystemUser"}


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_is_in_an_argument_or_an_environment(name: str, folders: Iterator[Path]) -> None:
    case = Case(name)
    machine = case.machine(next(folders))
    bring(case, machine)
    secrets = [machine.at(SIGNING_KEY).read_text().split()[-1]]
    secrets += [path.read_text() for path in machine.at(SECRETS).rglob("*") if path.is_file()]
    assert len(secrets) >= 4
    for started in machine.started:
        for secret in secrets:
            assert not any(secret in word for word in (*started.argv, *started.env.values())), started.argv[:2]


def killed(case: Case, folders: Iterator[Path], step: int, offset: int = 1) -> int:
    """Kill at each `step`th operation and run again; the number of kills."""
    whole = case.machine(next(folders))
    operations = bring(case, whole)[1].operations
    wanted, units = settled(whole), {name: (u.active, u.enabled) for name, u in whole.units.items()}
    for at in range(offset, operations + 1, step):
        machine = case.machine(next(folders))
        with pytest.raises(Killed):
            bring(case, machine, at)
        key = machine.at(SIGNING_KEY).read_bytes() if machine.at(SIGNING_KEY).exists() else None
        bring(case, machine)
        assert settled(machine) == wanted, f"{case.name}: killed at {at} of {operations}"
        assert {name: (u.active, u.enabled) for name, u in machine.units.items()} == units
        assert (machine.postgres, len(machine.passwords)) == (whole.postgres, len(whole.passwords))
        assert key in (None, machine.at(SIGNING_KEY).read_bytes()), "another signing key"
        good(machine)
        assert bring(case, machine)[0] == [], f"{case.name}: a third run after a kill at {at} changes something"
    return len(range(offset, operations + 1, step))


# Each second operation in CI, all of them where there is time.
PARTS = [1, 3, *(pytest.param(part, marks=pytest.mark.long) for part in (2, 4))]


@pytest.mark.parametrize("part", PARTS)
def test_killed_at_any_operation_the_next_run_ends_in_the_same_state(part: int, folders: Iterator[Path]) -> None:
    assert killed(Case(FULLEST), folders, step=4, offset=part) > 40


@pytest.mark.parametrize("name", [name for name in NAMES if name != FULLEST])
def test_killed_now_and_then_the_next_run_ends_in_the_same_state(name: str, folders: Iterator[Path]) -> None:
    assert killed(Case(name), folders, step=31, offset=NAMES.index(name) % 31 + 1) > 5


@pytest.mark.parametrize("name", NAMES)
def test_left_after_any_resource_the_next_run_goes_on_from_there(name: str, folders: Iterator[Path]) -> None:
    case = Case(name)
    machine = case.machine(next(folders))
    for _ in range(200):
        now = case.session(FakeHost(machine))
        ended = list(firsts(converge(now.resources, now.host, now.manifest)))
        if not ended:
            break
    good(machine)
    assert bring(case, machine)[0] == []


def firsts(changes: Iterator[Change]) -> Iterator[Change]:
    """The changes until the first one has ended."""
    for change in changes:
        if change.ended:
            yield change
            return
