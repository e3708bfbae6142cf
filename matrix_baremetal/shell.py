"""The one place that starts programs.

Never through a shell: a list of words in, status and text out. Words are visible to every user of the
machine in the process list, so a secret goes by `input` (or a file), never by `argv` or `env`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, FileIO
from typing import Any, BinaryIO

from matrix_baremetal import log
from matrix_baremetal.errors import Error

# Bytes that pass to or from a program at once.
PIECE = 1024 * 1024
PIPE = 1 << 20
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
        program = found(argv[0])
        began = time.monotonic()
        result = self._run(program, argv[1:], input=input, env=clean_environment(env), timeout=timeout, cwd=cwd)
        log.debug(f"{argv[0]} {argv[1] if len(argv) > 1 else ''} [{result.status}, {time.monotonic() - began:.2f} s]")
        if result.status not in ok:
            raise Failed(argv[0], result)
        return result

    @contextlib.contextmanager
    def reading(
        self,
        *argv: str,
        source: BinaryIO | None = None,
        env: Mapping[str, str] | None = None,
        ok: Collection[int] = (0,),
    ) -> Iterator[BufferedReader[Any]]:
        """What a program prints, as it comes; `source` is an open file that it reads.

        Raises `Failed` at the end where its status is outside `ok`. Whoever stops reading stops the program.
        """
        inner, outer = wide_pipe()
        with BufferedReader(FileIO(inner), PIECE) as out:
            with os.fdopen(outer, "wb", 0) as sink:
                command = self._begin(argv, source, sink, env)
            with ended(command, argv[0], ok, partial(self._kill, command, argv), feeds=False):
                yield out

    @contextlib.contextmanager
    def writing(
        self,
        *argv: str,
        sink: BinaryIO | None = None,
        env: Mapping[str, str] | None = None,
        ok: Collection[int] = (0,),
    ) -> Iterator[BinaryIO]:
        """Where a program takes what it is to read; `sink` is an open file that it writes to. Raises as `reading`."""
        outer, inner = wide_pipe()
        with os.fdopen(outer, "rb", 0) as source:
            command = self._begin(argv, source, sink, env)
        stop = partial(self._kill, command, argv)
        with ended(command, argv[0], ok, stop, feeds=True), os.fdopen(inner, "wb", PIECE) as into:
            yield into

    def _kill(self, command: Any, argv: Sequence[str]) -> None:
        """Stop a program at once. One that runs as somebody else does it by himself: most of our units may signal
        nobody (they have no CAP_KILL), and would wait for it for good.
        """
        try:
            command.kill()
        except PermissionError:
            if os.path.basename(argv[0]) == "setpriv":
                whose = itertools.takewhile(lambda word: word.startswith("--"), argv[1:])
                self(argv[0], *whose, "sh", "-c", 'kill -KILL "$1"', "sh", str(command.pid), ok=range(256))
        except OSError:
            pass

    def _begin(
        self, argv: tuple[str, ...], source: BinaryIO | None, sink: BinaryIO | None, env: Mapping[str, str] | None
    ) -> Any:
        """Start a program between two open files, which go to it as they are: nothing of it passes through us."""
        program, options = found(argv[0]), self._options(clean_environment(env), "/")
        options["_in"] = source if source is not None else b""
        if sink is not None:
            options["_out"] = sink
        import sh

        return sh.Command(program)(*argv[1:], **options)

    def _options(self, env: dict[str, str], cwd: str) -> dict[str, Any]:
        """How each program is started."""
        import logging

        # sh writes whole command lines to its log.
        logging.getLogger("sh").setLevel(logging.CRITICAL)
        # Only options that sh 1.14 and 2.x share: 1.14 hands one it doesn't know to the program.
        # A session of its own: Ctrl-C reaches us alone, and the step under way ends whole.
        return {
            "_env": env,
            "_cwd": cwd,
            "_tty_out": False,
            "_new_session": True,
            "_bg": True,
            "_bg_exc": False,
            "_internal_bufsize": 1024 * 1024,
            "_pass_fds": self.inherited,
        }

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
        import sh

        options = {**self._options(env, cwd), "_in": input if input is not None else b""}
        command = sh.Command(program)(*words, **options)
        with (
            stopped_after(timeout, partial(self._kill, command, (program, *words))) as expired,
            contextlib.suppress(sh.ErrorReturnCode, sh.SignalException),
        ):
            command.wait()
        if expired.is_set():
            name = os.path.basename(program)
            raise TimedOut(f"{name} took longer than {timeout:.0f} s and was stopped", hint="run it again")
        code: int = command.exit_code
        return Result(128 - code if code < 0 else code, text(command.stdout), text(command.stderr))


def wide_pipe() -> tuple[int, int]:
    """Both ends of a pipe that holds a megabyte: gigabytes pass in half the time that one of 64 KiB takes."""
    import fcntl

    ends = os.pipe()
    with contextlib.suppress(OSError):
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE)
    return ends


def pieces(source: BinaryIO) -> Iterator[bytes]:
    """What is left of a file, so much at once as passes a pipe well."""
    return iter(lambda: source.read(PIECE), b"")


def found(name: str) -> str:
    """Where a program is. Raises `Error` where it is nowhere."""
    program = shutil.which(name, path=PATH)
    if program is None:
        raise Error(f"the program {name} is not installed", hint="apt install --reinstall matrix-baremetal")
    return program


@contextlib.contextmanager
def ended(command: Any, name: str, ok: Collection[int], stop: Callable[[], None], *, feeds: bool) -> Iterator[None]:
    """Wait for a program once we are done with it; where we feed it, its own failure explains a pipe that broke."""
    import sh

    broken = False
    try:
        yield
    except BaseException as error:
        broken = feeds and isinstance(error, BrokenPipeError)
        if not broken and not gave_up(command):
            stopped(command, stop)
            raise
    with contextlib.suppress(sh.ErrorReturnCode, sh.SignalException):
        command.wait()
    status = command.exit_code
    result = Result(128 - status if status < 0 else status, "", text(command.stderr))
    if broken or result.status not in ok:
        raise Failed(name, result) from None


def gave_up(command: Any) -> bool:
    """Whether a program has ended by itself, and not well: then that is why whoever reads from it failed as well."""
    until = time.monotonic() + 0.2
    while command.is_alive() and time.monotonic() < until:
        time.sleep(0.01)
    return not command.is_alive() and bool(command.process.exit_code)


def stopped(command: Any, stop: Callable[[], None]) -> None:
    """Stop a program whose end nobody needs any more."""
    import sh

    with contextlib.suppress(OSError):
        stop()
    with contextlib.suppress(sh.ErrorReturnCode, sh.SignalException):
        command.wait()


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
