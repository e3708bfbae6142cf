"""doctor --bundle: what the doctor saw, and all that somebody who helps would ask for next, in one file."""

from __future__ import annotations

import json
import re
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from matrix_baremetal import bundle, facts, report, status
from matrix_baremetal.commands import init
from matrix_baremetal.converge import plan
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.findings_page import page
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.packages import installed
from matrix_baremetal.resources.services import Service
from matrix_baremetal.session import Session

LINES = 500
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
OURS = ("matrix-baremetal", "certbot", "nginx", "postgresql", "python3", "systemd")


def write(host: Host, name: str, findings: Sequence[Finding], now: Session | None, args: Namespace) -> Path:
    """Write it into the directory that one is in, for root alone, and return where it is.

    Less goes in where the config has mistakes: then there is no `now`. Raises `Error` where it can't be written.
    """
    moment = time.time()
    folder = f"matrix-baremetal-{name.replace(' ', '-')}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(moment))}"
    place = Path.cwd() / f"{folder}.tar.gz"
    known = bundle.secrets(host)
    texts = dict(about(host, name, findings, args))
    texts |= dict(of(now)) if now else {}
    texts |= dict(journals(host))
    whole = bundle.packed({path: bundle.cleaned(text, known) for path, text in texts.items()}, folder, moment)
    host.write(str(place), whole, 0o600)
    return place


def about(host: Host, name: str, findings: Sequence[Finding], args: Namespace) -> Iterator[tuple[str, str]]:
    """What the doctor said, the config as it is written, and the machine."""
    yield "doctor.txt", COLOURS.sub("", "\n".join(page(name, findings, 0.0, verbose=True))) + "\n"
    yield "doctor.json", document([asdict(finding) for finding in findings])
    config = init.place(args)
    yield "config.yaml", config.read_text("utf-8", "replace") if config.is_file() else "(there is none)\n"
    packages = {package: version for package, version in installed(host).items() if package.startswith(OURS)}
    seen = facts.read(host)
    # A zone that was read from a file can't be copied, and has no name but those of its hours.
    machine = {**asdict(replace(seen, zone=UTC)), "zone": datetime.now(seen.zone).strftime("%Z %z")}
    yield "machine.json", document({"facts": machine, "packages": packages})


def of(now: Session) -> Iterator[tuple[str, str]]:
    """How things are against how they should be, and the files that we keep, as they are on the disk."""
    yield "status.json", told(lambda: asdict(status.read(now)))
    yield "plan.json", told(lambda: [*map(report.row, plan(now.resources, now.host, now.manifest))])
    added = (path for unit in services(now.host) for path in bundle.below(now.host, f"/etc/systemd/system/{unit}.d"))
    ours = (resource.path for resource in now.resources if isinstance(resource, File))
    for path in dict.fromkeys((*ours, *bundle.below(now.host, bundle.CONF_D), *added)):
        yield f"files{path}", now.host.text(path) or "(there is none)\n"


def told(ask: Callable[[], object]) -> str:
    """An answer as JSON, or why there is none: where something is broken, what is left is the more welcome."""
    try:
        return document(ask())
    except Error as error:
        return document({"error": error.message, "next": error.hint})


def journals(host: Host) -> Iterator[tuple[str, str]]:
    """The last lines of every unit that was made."""
    for unit in services(host):
        told = host.run(
            "journalctl", "-q", "--no-pager", "-n", str(LINES), "-o", "short-iso", "-u", unit, ok=range(256)
        )
        yield f"journal/{unit}.txt", told.out


def services(host: Host) -> list[str]:
    """The units that were made, and those that they start."""
    made = Manifest.read(host).named(Service.__name__)
    return [*made, *(name.replace(".timer", ".service") for name in made if name.endswith(".timer"))]


def document(data: object) -> str:
    """JSON for people to read."""
    return json.dumps(data, indent=2, ensure_ascii=False, default=str) + "\n"
