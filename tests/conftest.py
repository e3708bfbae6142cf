"""What holds for all tests: cheap ones first, no guests after a failure of those, and none left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.places import lock

# Their assertions say what they saw, as those of tests do.
pytest.register_assert_rewrite("tests.system.invariants", "tests.system.site")

# Guests of the lab's own tests, and of those that stand on the lab, are called so; nobody else's are.
PREFIXES = {1: "lt-", 2: "st-"}


@pytest.hookimpl(tryfirst=True)  # before -m chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=boots)
    for item in items:
        sampled = item.get_closest_marker("sampled")
        if sampled and isinstance(item, pytest.Function) and item.callspec.params["debian"] not in sampled.args:
            item.add_marker(pytest.mark.long)


def boots(item: pytest.Item) -> int:
    """0 for what needs no guest, 1 for the lab's own tests, 2 for what stands on the lab."""
    if item.get_closest_marker("lab") is None:
        return 0
    return 1 if item.path.name == "test_lab.py" else 2


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A wrong type or a failed unit is mended in seconds; to boot guests first would only hide it."""
    if boots(item) and item.session.testsfailed and not getattr(item.config, "booted", False):
        item.session.shouldstop = "no guests are booted, as tests that need none have failed"
        pytest.skip("tests that need no guest have failed")
    if boots(item):
        item.config.booted = True  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take down the guests of the tests, and the pretend internet unless somebody else has guests on it."""
    prefixes = tuple(PREFIXES[kind] for kind in {boots(item) for item in request.session.items} - {0})
    if not prefixes or os.geteuid() != 0:
        yield
        return
    with contextlib.ExitStack() as locks:
        # Somebody else's run on this machine may be using them right now.
        mine = tuple(prefix for prefix in prefixes if locks.enter_context(lock(f"tests-{prefix}", wait=False)))
        clear(mine)  # what a killed run left
        yield
        clear(mine)
        if not Lab().list():
            Lab().down()


def clear(prefixes: tuple[str, ...]) -> None:
    """Take down guests whose names begin so."""
    for guest in Lab().list():
        if guest.name.startswith(prefixes):
            guest.down()
