"""Starting programs of this machine: to their end, or as daemons that outlive us.

A pid alone names nobody for long, so a daemon is known by pid and start time.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import CommandFailed, LabError
from .places import read_json, write_json

_began = time.monotonic()


def say(text: str) -> None:
    """A line of progress for people, with the seconds since we started."""
    sys.stderr.write(f"lab: {time.monotonic() - _began:6.1f} s  {text}\n")
    sys.stderr.flush()


def call(*argv: str, check: bool = True, input: str | None = None) -> str:
    """Run a program of this machine quietly; returns its stdout."""
    try:
        done = subprocess.run(argv, input=input, capture_output=True, text=True, check=False)
    except FileNotFoundError as e:
        raise LabError(f"the program {argv[0]} is missing on this machine", "run: bin/setup") from e
    if check and done.returncode:
        raise CommandFailed("this machine", argv, done.returncode, done.stdout, done.stderr)
    return done.stdout


def wait_for(true: Callable[[], object], what: str, seconds: float, hint: str | None = None) -> None:
    """Poll until `true()` is; a bounded wait, and its failure says for what."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise LabError(f"{what} did not come in {seconds:g} s", hint)
        time.sleep(0.02)


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


@dataclass(frozen=True)
class Process:
    """A process of this machine, that lives or not: a later one with the same pid is another."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Process:
        fields = _stat(pid)
        return cls(pid, fields[19] if fields else "")

    @classmethod
    def read(cls, path: Path) -> Process | None:
        known = read_json(path)
        return cls(known["pid"], known["started"]) if known else None

    def write(self, path: Path) -> None:
        write_json(path, {"pid": self.pid, "started": self.started})

    @property
    def alive(self) -> bool:
        fields = _stat(self.pid)
        return bool(fields) and fields[19] == self.started and fields[0] not in "ZX"

    def signal(self, number: int) -> None:
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """End it at once and wait until it has: its sockets and mounts are free after this."""
        self.signal(signal.SIGKILL)
        wait_for(lambda: not self.alive, f"the end of process {self.pid}", 60)


def daemon(argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Process:
    """Start a program in a session of its own, so that it outlives us and our terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        started = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=env, cwd="/", start_new_session=True
        )
    # The Popen object is let go on purpose; `alive` counts a zombie as dead.
    started.returncode = 0
    return Process.of(started.pid)
