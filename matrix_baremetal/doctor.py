"""The doctor: asks every check within a time limit, those that wait for the network side by side.

It knows no kind of check. What is skipped names the check to look at first: one cause is one fault and not thirty.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from matrix_baremetal.checks.check import Check
from matrix_baremetal.errors import USAGE, Error
from matrix_baremetal.findings import Finding, sorted_by_state
from matrix_baremetal.host import Host

# Seconds for all checks together; who hasn't answered by then is a finding of its own.
LIMIT = 5.0


class Unknown(Error):
    """There is no such check."""

    status = USAGE


@dataclass
class Round:
    """One run over the checks. `cause` leads from a check that failed, or had to be skipped, to the one at fault."""

    host: Host
    until: float
    findings: dict[str, Finding] = field(default_factory=dict)
    cause: dict[str, str] = field(default_factory=dict)
    answers: queue.SimpleQueue[tuple[Check, Finding | BaseException]] = field(default_factory=queue.SimpleQueue)
    running: dict[str, Check] = field(default_factory=dict)

    def local(self, check: Check) -> None:
        """Ask a check here and now."""
        if not self.barred(check):
            self.note(asked(check, self.host))

    def remote(self, check: Check) -> None:
        """Ask a check that waits for the network, beside the others."""
        if not self.barred(check):
            self.running[check.id] = check
            # A daemon: a resolver that hangs must not keep the program from ending.
            threading.Thread(target=self._ask, args=(check,), daemon=True).start()

    def _ask(self, check: Check) -> None:
        try:
            self.answers.put((check, asked(check, self.host)))
        except BaseException as bug:
            self.answers.put((check, bug))

    def barred(self, check: Check) -> bool:
        """Whether a check that has to be fine before this one is not; then it is skipped."""
        cause = next((self.cause[id] for id in check.after if id in self.cause), None)
        if cause is not None:
            self.cause[check.id] = cause
            self.findings[check.id] = check.skipped(f"see {cause}")
        return cause is not None

    def note(self, finding: Finding) -> None:
        """Keep a finding."""
        self.findings[finding.id] = finding
        if finding.state == "fail":
            self.cause[finding.id] = finding.id

    def gather(self) -> None:
        """Wait for those that are still under way, as long as there is time."""
        while self.running:
            try:
                check, answer = self.answers.get(timeout=max(self.until - time.monotonic(), 0.01))
            except queue.Empty:
                break
            del self.running[check.id]
            if isinstance(answer, BaseException):
                raise answer
            self.note(answer)
        for check in self.running.values():
            self.note(check.warned("there was no answer in time", next=f"matrix-baremetal doctor {check.id}"))


def asked(check: Check, host: Host) -> Finding:
    """One check's finding, with the time it took; an `Error` is a fault in its own words."""
    began = time.monotonic()
    try:
        finding = check.look(host)
    except Error as error:
        finding = check.failed(error.message, next=error.hint or f"matrix-baremetal doctor {check.id}")
    except Exception as bug:
        finding = mistaken(check, bug)
    return replace(finding, seconds=round(time.monotonic() - began, 3))


def mistaken(check: Check, bug: Exception) -> Finding:
    """A bug in a check, with its stack: whoever looks now needs what the others find. Its text may hold a secret."""
    import traceback

    stack = [line for each in traceback.format_tb(bug.__traceback__)[-3:] for line in each.splitlines()]
    message = f"this check itself failed ({type(bug).__name__}), which is a bug of ours"
    return check.failed(message, *stack, next="matrix-baremetal doctor --bundle, and send us what it writes")


def examine(checks: Sequence[Check], host: Host, limit: float = LIMIT) -> list[Finding]:
    """The findings of these checks, the worst first."""
    this = Round(host, time.monotonic() + limit)
    waiting, ids = [check for check in checks if check.remote], {check.id for check in checks}
    for check in (each for each in checks if not each.remote):
        waiting = started(this, waiting, ids)
        this.local(check)
    for check in started(this, waiting, ids):
        this.remote(check)
    this.gather()
    return sorted_by_state(this.findings[check.id] for check in checks)


def started(this: Round, waiting: Iterable[Check], asked_for: Collection[str]) -> list[Check]:
    """Start those whose turn has come: all that they come after, and is asked at all, has been. Gives the others."""
    left = []
    for check in waiting:
        if all(id in this.findings for id in check.after if id in asked_for):
            this.remote(check)
        else:
            left.append(check)
    return left


def chosen(checks: Sequence[Check], ids: Sequence[str]) -> tuple[Check, ...]:
    """The checks of these ids, or whose ids begin with one of them: dns stands for dns.a.example.org.

    Raises `Unknown` with the nearest id.
    """
    if not ids:
        return tuple(checks)
    for word in ids:
        if not any(matches(check.id, word) for check in checks):
            import difflib

            known = {check.id for check in checks} | {check.id.partition(".")[0] for check in checks}
            near = difflib.get_close_matches(word, sorted(known), n=1)
            text = f"there is no check {word}" + (f"; did you mean {near[0]}?" if near else "")
            raise Unknown(text, hint="matrix-baremetal doctor --list")
    return tuple(check for check in checks if any(matches(check.id, word) for word in ids))


def matches(id: str, word: str) -> bool:
    """Whether a word names a check or a group of checks."""
    return id == word or id.startswith(f"{word.rstrip('.')}.")
