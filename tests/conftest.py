"""What holds for all tests: cheap ones early, no guests after a failure of those, and none left behind.

With several workers (bin/test) each release of Debian has its own: guests have the same names in most tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

import pluggy
import pytest

from tests.lab import Lab
from tests.lab.places import CACHE, lock
from tests.vm import vagrant, vm

# Their assertions say what they saw, as those of tests do.
pytest.register_assert_rewrite("tests.system.invariants", "tests.system.site")

# Guests of the lab's own tests, of those that stand on the lab, and virtual machines: nobody else's are called so.
PREFIXES = {1: "lt-", 2: "st-", 3: "vt-"}
# Written when a test that needs no guest has failed, for all workers of a run.
FAILED = Path(tempfile.gettempdir(), f"matrix-baremetal-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}")


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: (late(item), release(item)))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group(item)))
        sampled = item.get_closest_marker("sampled")
        if sampled and release(item) not in sampled.args:
            item.add_marker(pytest.mark.long)


def late(item: pytest.Item) -> int:
    """How far at the end: late what needs both releases for itself, as until then each has a worker; and last of all
    what leaves the others' snapshots of no use.

    What needs no guest comes first where there is one worker. Where there are several, two of them are busy with the
    two releases from the first minute to the last, and the others begin with what takes longest at a stretch.
    """
    ends = item.get_closest_marker("takes_the_lab_down") is not None
    order = (3, 3, 2 if apart(item) else 0, 1) if "PYTEST_XDIST_WORKER" in os.environ else (0, 1, 2, 3)
    return order[boots(item)] + 4 * (group(item) == "both") + 8 * ends


def boots(item: pytest.Item) -> int:
    """0 for what needs no guest, 1 for the lab's own tests, 2 for what stands on the lab, 3 for virtual machines."""
    if item.get_closest_marker("vm") is not None:
        return 3
    if item.get_closest_marker("lab") is None:
        return 0
    return 1 if item.path.name == "test_lab.py" else 2


def apart(item: pytest.Item) -> bool:
    """Whether its guests have names that no other file's guests have: it runs beside those of its release."""
    return item.get_closest_marker("own_guests") is not None


def release(item: pytest.Item) -> int:
    """The release of Debian that a test is about; 0 where it is about none, or several."""
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    found = next((params[name] for name in ("debian", "builder") if name in params), 0)
    assert isinstance(found, int)
    return found


def group(item: pytest.Item) -> str:
    """Tests of one group are run by one worker: they share guests, or what is dear to make."""
    if boots(item) == 3:
        return "vm"  # one after the other: each of them keeps two cores busy
    if boots(item) != 2:
        return item.path.stem
    if apart(item):
        return f"{item.path.stem}-{release(item)}"
    return f"debian{release(item)}" if release(item) else "both"


@pytest.hookimpl(hookwrapper=True, tryfirst=True)  # in the older form, as Debian 12's pytest has no other
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Nobody else has the guests of this group until its last test is over, nor is the internet taken from them."""
    if boots(item) == 2:
        for name in ("debian12", "debian13") if group(item) == "both" else (group(item),):
            HELD.take(name)
    try:
        with internet(item) if boots(item) else contextlib.nullcontext():
            yield
    finally:
        if nextitem is None or group(nextitem) != group(item):
            HELD.let_go()


class Held:
    """The locks on the guests of a group."""

    def __init__(self) -> None:
        self.locks = contextlib.ExitStack()
        self.names: set[str] = set()

    def take(self, name: str) -> None:
        """Wait until nobody else has them."""
        if name not in self.names:
            self.locks.enter_context(lock(f"tests-{name}"))
            self.names.add(name)

    def let_go(self) -> None:
        """Others may have them."""
        self.locks.close()
        self.names.clear()


HELD = Held()


@contextlib.contextmanager
def internet(item: pytest.Item) -> Iterator[None]:
    """The pretend internet is as it should be, for all tests but those that take a part of it away."""
    with locked("tests-internet") as file:
        alone = item.get_closest_marker("takes_internet_away") is not None
        # Who waits to be alone keeps others from beginning, or it would wait for good.
        with lock("tests-internet-next"):
            fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def locked(name: str) -> Iterator[IO[str]]:
    """A file to lock; closed, it is nobody's."""
    path = CACHE / "locks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        yield file


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A wrong type or a failed unit is mended in seconds; to boot guests first would only hide it."""
    if boots(item) and FAILED.exists():
        item.session.shouldstop = "no guests are booted, as tests that need none have failed"
        pytest.skip("tests that need no guest have failed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pluggy.Result[pytest.TestReport], None]:
    outcome = yield
    if outcome.get_result().failed and not boots(item):
        FAILED.touch()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):
        FAILED.unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take down the guests of the tests, and the pretend internet unless somebody else has guests on it."""
    prefixes = tuple(PREFIXES[kind] for kind in {boots(item) for item in request.session.items} - {0})
    if not prefixes or os.geteuid() != 0:
        yield
        return
    with locked("tests-running") as file:
        if alone(file):
            clear(prefixes)  # what a killed run left
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
        # Another worker, or somebody else's run on this machine, may be using them right now.
        if alone(file):
            clear(prefixes)
            if not Lab().list():
                Lab().down()


def alone(file: IO[str]) -> bool:
    """Whether no other run of tests, and no other worker of this one, is at work."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def clear(prefixes: tuple[str, ...]) -> None:
    """Take down guests and virtual machines whose names begin so."""
    for guest in Lab().list():
        if guest.name.startswith(prefixes):
            guest.down()
    if PREFIXES[3] in prefixes:
        vagrant.sweep()
    for name in vm.names():
        if name.startswith(prefixes):
            vm.Vm(name).down()
