"""What starts the programs of a machine that is none."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from io import BufferedReader
from typing import TYPE_CHECKING, Any, BinaryIO

from matrix_baremetal.shell import Failed, Result, Shell

if TYPE_CHECKING:
    from tests.fakes import FakeHost


class FakeShell(Shell):
    """Starts the machine's programs for a run, which may be killed before each."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host

    def __call__(
        self,
        *argv: str,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        ok: Collection[int] = (0,),
        timeout: float | None = None,
        cwd: str = "/",
    ) -> Result:
        """What `Shell` would do, as far as the model goes."""
        self.host.step()
        result = self.host.machine.start(argv, input, dict(env or {}))
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
        """What the real program prints, or what stands in for Postgres's."""
        self.host.step()
        with Shell().reading(*self.host.machine.piped(argv), source=source, env=env, ok=ok) as out:
            yield out

    @contextlib.contextmanager
    def writing(
        self,
        *argv: str,
        sink: BinaryIO | None = None,
        env: Mapping[str, str] | None = None,
        ok: Collection[int] = (0,),
    ) -> Iterator[BinaryIO]:
        """Where the real program reads, or what stands in for Postgres's."""
        self.host.step()
        with Shell().writing(*self.host.machine.piped(argv), sink=sink, env=env, ok=ok) as into:
            yield into
        self.host.step()


def real(name: str, words: Sequence[str], input: str | None = None) -> Result:
    """The program itself, as it touches only what it is told to."""
    done = subprocess.run((name, *words), input=input, capture_output=True, text=True, check=False)
    return Result(done.returncode, done.stdout, done.stderr)
