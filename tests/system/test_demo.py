"""The demo does what it says, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.lab import Lab

DEMO = Path(__file__).parents[2] / "bin/demo"
pytestmark = [pytest.mark.lab, pytest.mark.takes_the_lab_down]


def left() -> set[str]:
    return {guest.name for guest in Lab().list()} & {"one", "two"}


def test_it_ends_with_two_servers_that_talk_to_each_other() -> None:
    done = subprocess.run([DEMO], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "@bob:two.test reads: Hello from @alice:one.test" in done.stdout
    assert "@alice:one.test reads: Hello from @bob:two.test" in done.stdout
    assert "Two Matrix servers talk to each other." in done.stdout
    assert "\x1b" not in done.stdout
    assert left() == set()


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_cleans_up(number: signal.Signals) -> None:
    running = subprocess.Popen(
        [DEMO], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    for line in running.stdout or ():
        if "side by side" in line:
            break
    time.sleep(5)
    running.send_signal(number)
    _, stderr = running.communicate(timeout=60)
    assert running.returncode == 128 + number, stderr
    assert "Traceback" not in stderr
    assert left() == set()
