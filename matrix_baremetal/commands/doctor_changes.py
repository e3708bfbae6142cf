"""doctor --changes: the daily look into the journal, which tells only what is other than at the last one."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from matrix_baremetal import alert, doctor, growth, report, watch
from matrix_baremetal.alert import Sent
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.growth import Forecast
from matrix_baremetal.checks.together import together
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding, counted
from matrix_baremetal.findings_page import summary, told
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.resources import tally
from matrix_baremetal.session import Session

# Seconds: nobody waits for it, so that a slow network is no news; and how long after a look that found something new
# it looks again, as most of what is wrong for a moment is right a moment later.
LIMIT, AGAIN = 30.0, 20.0
# How urgent a line is, for whoever reads the journal: as sd-daemon(3) has it.
PRIORITIES = {"fail": 3, "warn": 4}
MENDED, REST = 5, 6


def waited(host: Host, seconds: float) -> None:
    """Let another run end first: what is being changed may well be broken for a while. Raises `Busy`."""
    with locked(host, "doctor --changes", wait=seconds):
        pass


def look(
    host: Host, checks: Sequence[Check], *, some: bool, again: float = AGAIN, alerts: bool = False
) -> tuple[list[Finding], list[Finding]]:
    """All findings, and those of them that are news; it is remembered for the next time, and for the alerts."""
    before = watch.read(host)
    findings = doctor.examine(together(checks, host), host, LIMIT)
    if any(finding.state in watch.BAD for finding in watch.news(before, findings)):
        time.sleep(again)
        findings = doctor.examine(together(checks, host), host, LIMIT)
    news = watch.news(before, findings)
    if alerts:
        alert.keep(host, news)
    watch.write(host, watch.bad_now(before, findings, some=some))
    return findings, news


def remember(now: Session, checks: Sequence[Check]) -> None:
    """Note how full the disks are today, and what on them grows."""
    host, store = now.host, now.site.store(USER)
    paths = dict.fromkeys(check.path for check in checks if isinstance(check, Forecast))
    spaces = {path: host.space(path) for path in paths}
    parts: dict[str, int] = {}
    try:
        parts["database"] = store.size(host)
        if (seen := tally.read(host, store)) is not None:
            parts |= {"media": seen.media, "media of other servers": seen.remote_media}
    except Error:
        # That the database does not answer is for its checks to say; a day without these sizes does no harm.
        pass
    used = {path: space.all_size - space.size for path, space in spaces.items()}
    growth.remember(host, growth.Sample(int(time.time()), used, parts))


def say(
    name: str,
    findings: Sequence[Finding],
    news: Sequence[Finding],
    seconds: float,
    args: Namespace,
    sent: Sent | None = None,
) -> None:
    """The news, whether somebody was told, and in one line how it is all in all; or the document."""
    if args.json:
        head = {"server_name": name, "seconds": round(seconds, 3), "counts": counted(findings)}
        more = {"told": sent.way or None, "why": list(sent.why)} if sent else {}
        report.document({**head, "changes": [asdict(finding) for finding in news], **more})
        return
    journal = journaled()
    for finding in news:
        urgency = PRIORITIES.get(finding.state, MENDED)
        for line in lines(finding):
            print(f"<{urgency}>{line}" if journal else line)
    if sent and not (args.quiet and sent.way):
        urgency = REST if sent.way else PRIORITIES["warn"]
        print(f"<{urgency}>{sent.sentence}" if journal else sent.sentence)
    old = sum(finding.state in watch.BAD for finding in findings) - sum(f.state in watch.BAD for f in news)
    if not args.quiet:
        rest = f"{name}: {summary(findings)}{f'; {old} as at the last look' if old else ''}."
        print(f"<{REST}>{rest}" if journal else rest)


def lines(finding: Finding) -> Iterator[str]:
    """A finding in lines, without the empty ones that part them for a person."""
    if finding.state in watch.BAD:
        yield from (line for line in told(finding) if line.strip())
    else:
        yield f"✓ {finding.id} is no longer at fault: {finding.message}"


def journaled() -> bool:
    """Whether stdout is the journal itself, which takes a line's urgency from its beginning (systemd.exec(5))."""
    try:
        seen = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{seen.st_dev}:{seen.st_ino}"
