"""A terminal of 80 columns with a person's hands and eyes, in a guest: tmux, driven from outside."""

from __future__ import annotations

import re
import subprocess
import time
import uuid
from types import TracebackType

from tests.lab import Guest
from tests.lab.places import REPOSITORY

COLUMNS, LINES = 80, 50
# The shell has nothing to do; blanks at a line's end are not seen.
PROMPT = r"^\$$"


class Terminal:
    """A login shell of root in a guest; ends with its block, and with the server that it is run by."""

    def __init__(self, guest: Guest) -> None:
        # A server of its own: one that a person has on this machine keeps its settings and windows to itself.
        self._tmux = ("tmux", "-f", "/dev/null", "-L", f"matrix-baremetal-{uuid.uuid4().hex[:8]}")
        size = ("-x", str(COLUMNS), "-y", str(LINES))
        lab = (str(REPOSITORY / "bin/lab"), "run", guest.name)
        self._call("new-session", "-d", *size, *lab)
        self._call("set-option", "-g", "history-limit", "5000")

    def __enter__(self) -> Terminal:
        self.type("PS1='\\n$ '; clear")
        self.wait_for(PROMPT)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._call("kill-server", check=False)

    def type(self, text: str, key: str = "Enter") -> None:
        """Type words literally, and press a key."""
        self._call("send-keys", "-l", text)
        self._call("send-keys", key)

    def press(self, key: str) -> None:
        """A key by tmux's name for it, as C-c."""
        self._call("send-keys", key)

    @property
    def screen(self) -> str:
        """All that was shown since the start, as the lines of the terminal; blanks at their ends don't count."""
        return self._call("capture-pane", "-p", "-S", "-").rstrip()

    @property
    def broken(self) -> list[str]:
        """Lines that the terminal itself had to break as they were longer than it is wide."""
        joined = self._call("capture-pane", "-p", "-J", "-S", "-").splitlines()
        return [line for line in joined if len(line.rstrip()) > COLUMNS]

    def wait_for(self, pattern: str, seconds: float = 30) -> str:
        """Wait until what is shown matches, and return it all."""
        end = time.monotonic() + seconds
        while not re.search(pattern, self.screen, re.MULTILINE):
            assert time.monotonic() < end, f"{pattern!r} is not shown:\n{self.screen}"
            time.sleep(0.1)
        return self.screen

    def clear(self) -> None:
        """Forget what was shown."""
        self._call("send-keys", "-R", ";", "clear-history")

    def _call(self, *words: str, check: bool = True) -> str:
        done = subprocess.run([*self._tmux, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout
