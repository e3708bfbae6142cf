"""One run at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from matrix_baremetal.errors import Busy
from matrix_baremetal.host import Host
from matrix_baremetal.lock import LOCK, busy, locked

HOLD = """
import sys, time
from pathlib import Path
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
host = Host(Path(sys.argv[1]))
with locked(host, "apply"):
    print("held", flush=True)
    time.sleep(60)
"""
# Killed here, it leaves a program behind that is still at work.
ORPHAN = HOLD.replace("time.sleep(60)", 'host.run("sleep", "2")')


def hold(root: Path, script: str = HOLD) -> subprocess.Popen[str]:
    """Another process that holds the lock."""
    child = subprocess.Popen([sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_run_is_told_who_is_at_work_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    child = hold(tmp_path)
    try:
        words = rf"another run is at work: apply \(since [\d:]+, process {child.pid}\)"
        with pytest.raises(Busy, match=words), locked(Host(tmp_path), "plan"):
            pass
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    with locked(Host(tmp_path), "plan"):
        assert json.loads((tmp_path / LOCK.lstrip("/")).read_text())["pid"] == os.getpid()


def test_a_run_may_wait_for_another_to_end(tmp_path: Path) -> None:
    child = hold(tmp_path)
    began = time.monotonic()
    with pytest.raises(Busy), locked(Host(tmp_path), "plan", wait=0.3):
        pass
    assert time.monotonic() - began >= 0.3
    child.kill()
    child.wait()
    with locked(Host(tmp_path), "plan", wait=5):
        pass


def test_one_that_is_dying_just_now_is_not_in_the_way(tmp_path: Path) -> None:
    child = hold(tmp_path)
    threading.Timer(0.5, child.kill).start()
    with locked(Host(tmp_path), "plan"):
        pass
    child.wait()


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b"{}"])
def test_a_lock_with_a_broken_note_is_told_as_well(note: bytes) -> None:
    assert "another run" in busy(note).message


def test_what_a_killed_run_has_started_is_waited_for_without_being_asked_to(tmp_path: Path) -> None:
    child = hold(tmp_path, ORPHAN)
    while not Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text():
        time.sleep(0.01)
    time.sleep(0.2)
    child.kill()
    child.wait()
    began = time.monotonic()
    with locked(Host(tmp_path), "apply"):
        assert 0.1 < time.monotonic() - began < 10
