"""The one place that starts programs.

Never through a shell: a list of words in, status and text out. Words are visible to every user of the
machine in the process list, so a secret goes by `input` (or a file), never by `argv` or `env`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matrix_baremetal import log
from matrix_baremetal.errors import Error

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# A proxy is how some machines reach the world. Nothing else of the caller's environment may steer what
# we start (PYTHONPATH, PIP_*, PGHOST, LD_PRELOAD, LANGUAGE, ...).
KEPT = ("HOME", "TERM", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class Result:
    """How a program ended: its exit status (128 + N for signal N) and what it printed."""

    status: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """The last lines of what was printed, where a program says why it failed."""
        return "\n".join((self.err.strip() or self.out.strip()).splitlines()[-8:])


class Shell:
    """Starts programs of the real machine, by `sh`, with an environment of our own making.

    `inherited` are open files that each of them gets, such as the lock that must last as long as the last of them.
    """

    inherited: tuple[int, ...] = ()

    def __call__(
        self,
        *argv: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        ok: Collection[int] = (0,),
        timeout: float | None = None,
        cwd: str = "/",
    ) -> Result:
        """Run a program to its end.

        Raises `Error` where it is missing, takes longer than `timeout` seconds, or ends with a status outside
        `ok`; the message holds the program's own last words but not our arguments.
        """
        program = shutil.which(argv[0], path=PATH)
        if program is None:
            raise Error(f"the program {argv[0]} is not installed", hint="apt install --reinstall matrix-baremetal")
        began = time.monotonic()
        result = self._run(program, argv[1:], input=input, env=clean_environment(env), timeout=timeout, cwd=cwd)
        log.debug(f"{argv[0]} {argv[1] if len(argv) > 1 else ''} [{result.status}, {time.monotonic() - began:.2f} s]")
        if result.status not in ok:
            raise Failed(argv[0], result)
        return result

    def _run(
        self,
        program: str,
        words: tuple[str, ...],
        *,
        input: str | None,
        env: dict[str, str],
        timeout: float | None,
        cwd: str,
    ) -> Result:
        import logging

        import sh

        # sh writes whole command lines to its log.
        logging.getLogger("sh").setLevel(logging.CRITICAL)
        # Only options that sh 1.14 and 2.x share: 1.14 hands one it doesn't know to the program.
        # A session of its own: Ctrl-C reaches us alone, and the step under way ends whole.
        options: dict[str, Any] = {
            "_env": env,
            "_cwd": cwd,
            "_tty_out": False,
            "_new_session": True,
            "_bg": True,
            "_bg_exc": False,
            "_internal_bufsize": 1024 * 1024,
            "_pass_fds": self.inherited,
            "_in": input if input is not None else b"",
        }
        command = sh.Command(program)(*words, **options)
        with (
            stopped_after(timeout, command.kill) as expired,
            contextlib.suppress(sh.ErrorReturnCode, sh.SignalException),
        ):
            command.wait()
        if expired.is_set():
            name = os.path.basename(program)
            raise TimedOut(f"{name} took longer than {timeout:.0f} s and was stopped", hint="run it again")
        code: int = command.exit_code
        return Result(128 - code if code < 0 else code, text(command.stdout), text(command.stderr))


@contextlib.contextmanager
def stopped_after(timeout: float | None, stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Stop something that lasts too long; the event says whether that was so.

    sh's own timeout looks only ten times a second whether a program has ended, and most of ours end at once.
    """
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        with contextlib.suppress(OSError):
            stop()

    timer = None if timeout is None else threading.Timer(timeout, expire)
    if timer is not None:
        timer.daemon = True
        timer.start()
    try:
        yield expired
    finally:
        if timer is not None:
            timer.cancel()


class TimedOut(Error):
    """A program that we started took too long, and was stopped."""


class Failed(Error):
    """A program that we started said no; `result` holds its words."""

    def __init__(self, program: str, result: Result) -> None:
        self.result = result
        words = result.last_words
        super().__init__(
            f"{program} failed with status {result.status}" + (f": {words}" if words else ""),
            hint="once that is mended, run the same command again; journalctl -e may say more",
        )


def clean_environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    """The environment of each program we start: fixed, but for proxies and what the caller adds."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    fixed = {"PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return {"HOME": "/root", **kept, **fixed, **(extra or {})}


def text(data: bytes) -> str:
    """What a program printed, whatever its bytes."""
    return data.decode("utf-8", "replace")
