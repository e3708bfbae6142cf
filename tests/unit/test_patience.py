"""What may pass is tried again, for as long as was asked, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from matrix_baremetal.errors import Busy, ConfigError, Error, Obstacle, Problem
from matrix_baremetal.patience import WAITS, patiently
from matrix_baremetal.preflight import Refused

LATE = Error("the package index does not answer", hint="matrix-baremetal apply", passes=True)
CLOCK = Obstacle("the clock is wrong", "timedatectl", passes=True)
FULL = Obstacle("/opt is full", "make room")


@dataclass
class Boot:
    """A first boot: what each try ends with, and a clock that only waiting moves."""

    ends: Iterator[Error | int]
    now: float = 100.0
    waited: list[float] = field(default_factory=list)

    def attempt(self) -> int:
        end = next(self.ends)
        if isinstance(end, Error):
            raise end
        return end

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.now += seconds


def booted(*ends: Error | int, retry: float) -> tuple[int, list[float]]:
    """The exit status, and how long was waited each time."""
    boot = Boot(iter(ends))
    return patiently(boot.attempt, retry, clock=lambda: boot.now, sleep=boot.sleep), boot.waited


@pytest.mark.parametrize("status", [0, 3])
def test_what_succeeds_is_done_once(status: int) -> None:
    assert booted(status, retry=600) == (status, [])


def test_a_network_that_comes_late_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    late = [LATE] * 6
    assert booted(*late, 0, retry=600) == (0, [*WAITS, WAITS[-1]])
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "warning: the package index does not answer; trying again in 5 s"
    assert len(told) == 6


def test_the_last_word_is_the_failure_itself() -> None:
    with pytest.raises(Error) as caught:
        booted(*[LATE] * 9, retry=30)
    assert caught.value is LATE


def test_without_being_asked_nothing_is_tried_again() -> None:
    with pytest.raises(Error):
        booted(LATE, retry=0)


@pytest.mark.parametrize(
    "error",
    [
        Error("the key is broken"),
        ConfigError("config.yaml", [Problem(1, 1, "there is no key servername")]),
        Refused([FULL]),
        Refused([CLOCK, FULL]),
    ],
)
def test_what_a_person_has_to_mend_is_said_at_once(error: Error) -> None:
    with pytest.raises(Error) as caught:
        booted(error, 0, retry=600)
    assert caught.value is error


@pytest.mark.parametrize("error", [Busy("another run is at work", passes=True), Refused([CLOCK])])
def test_another_run_and_a_clock_that_is_not_set_yet_pass(error: Error) -> None:
    assert booted(error, 0, retry=600)[0] == 0
