"""What every declaration gets for free: services run, files have not drifted, ports are held by their units."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from matrix_baremetal.checks.check import APPLY, PATIENCE, Check, last_lines, short, shown
from matrix_baremetal.checks.parts import Parts
from matrix_baremetal.checks.wellknown import Published
from matrix_baremetal.converge import Change, compared, removal
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding, State
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.needs import Document, Needs, Port, Proxy
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import PROPERTIES as SERVICE
from matrix_baremetal.resources.services import STARTS, Service, files

# What systemd knows of a unit by property, where somebody has asked for all units at once.
Seen = Mapping[str, str]
PROPERTIES = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NRestarts", "ActiveEnterTimestampMonotonic")
# Restarts by systemd itself, within so many seconds: more than that is a loop.
MANY, LATELY = 3, 900
# Units whose last words are shown.
MOST = 3


def checks(resources: Sequence[Resource], needs: Needs) -> Iterator[Check]:
    """The checks that come of declarations alone, whoever declared them."""
    services = tuple(dict.fromkeys(r for r in resources if isinstance(r, Service)))
    for unit in dict.fromkeys(service.unit for service in services):
        yield Runs(unit)
        if reading := tuple(each for each in services if each.unit == unit and each.reads):
            yield Current(unit, reading)
    yield FailedUnits(tuple(service.unit for service in services))
    yield Parts(tuple(resources))
    yield Drift(tuple(resources))
    yield Additions(tuple(resources))
    single = [port for port in needs.of(Port) if not port.last]
    yield from dict.fromkeys(LISTENS[port.protocol](port.number, port.unit) for port in single)
    inner = {place.port for vhost in needs.vhosts() for place in vhost.locations if isinstance(place, Proxy)}
    for number in sorted(inner):
        yield Inside(number)
    texts = {r.path: r.content for r in resources if isinstance(r, File)}
    for vhost in needs.vhosts():
        for place in vhost.locations:
            if isinstance(place, Document) and place.file in texts:
                yield Published(vhost.domain, place.path, place.file, texts[place.file])


@dataclass(frozen=True)
class Runs(Check):
    """A unit that is to run."""

    form = "units.{0.unit}"
    asks = "a unit runs, starts at boot, and is in no loop of restarts"

    name: str
    seen: Seen | None = field(default=None, compare=False, repr=False)

    @property
    def unit(self) -> str:
        """As people say it."""
        return short(self.name)

    def look(self, host: Host) -> Finding:
        rows = self.seen or shown(host, self.name, *PROPERTIES)
        state, journal = rows["ActiveState"] or "unknown", f"journalctl -u {self.unit}"
        if rows.get("LoadState") == "not-found":
            return self.failed(f"{self.name} is not on this machine", fix=APPLY)
        restarts = int(rows.get("NRestarts") or 0)
        if state != "active":
            looping = rows.get("SubState") == "auto-restart" or restarts > MANY
            again = f", and was restarted {restarts} times" if looping else ""
            lines = last_lines(host, self.name)
            message = f"{self.name} is {state}{again}"
            if state == "inactive":
                return self.failed(message, *lines, fix=APPLY)
            # One that ends again and again is for a person to read about; another may be started once more.
            again_once = f"systemctl restart {self.unit}" if state == "failed" else ""
            return self.failed(message, *lines, next=journal, fix=again_once)
        if restarts > MANY and uptime(rows) < LATELY:
            lines = last_lines(host, self.name)
            return self.warned(f"{self.name} runs, and was restarted {restarts} times", *lines, next=journal)
        if rows.get("UnitFileState") not in STARTS:
            return self.failed(f"{self.name} runs, and a boot would not start it", fix=APPLY)
        return self.fine(f"{self.name} runs")


@dataclass(frozen=True)
class Current(Check):
    """A service that has taken up what it reads. It is listed once for each set of files."""

    form = "current.{0.unit}"
    asks = "a unit has taken up the files that it reads, as they are now"

    name: str
    services: tuple[Service, ...] = field(default=(), repr=False)
    seen: Seen | None = field(default=None, compare=False, repr=False)

    @property
    def unit(self) -> str:
        """As people say it."""
        return short(self.name)

    @property
    def after(self) -> tuple[str, ...]:
        return (f"units.{self.unit}",)

    def look(self, host: Host) -> Finding:
        rows = self.seen or shown(host, self.name, *SERVICE)
        if any((found := service.found(host, rows)) is not None and found.stale for service in self.services):
            return self.failed(f"{self.name} has not taken up what it reads", fix=APPLY)
        return self.fine(f"{self.name} has taken up what it reads")


def uptime(rows: Seen) -> float:
    """Seconds since a unit became active."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) - int(rows.get("ActiveEnterTimestampMonotonic") or 0) / 1e6


@dataclass(frozen=True)
class FailedUnits(Check):
    """Units that have failed and are not among those that are to run: others', and those that our timers start."""

    form = "units.others"
    asks = "another unit has failed: one that our timers start, or one that is not ours"

    ours: tuple[str, ...]

    def look(self, host: Host) -> Finding:
        words = ("--state=failed", "--plain", "--no-legend", "--no-pager")
        out = host.run("systemctl", "list-units", *words, ok=range(256), timeout=PATIENCE).out
        failed = [line.split()[0] for line in out.splitlines() if line.split()]
        others = [unit for unit in failed if unit not in self.ours]
        if not others:
            return self.fine("no other unit has failed")
        others.sort(key=lambda unit: not unit.startswith("matrix-"))
        count = "another unit has" if len(others) == 1 else f"{len(others)} other units have"
        rows = [row for unit in others[:MOST] for row in (unit, *(f"  {line}" for line in last_lines(host, unit)))]
        state: State = "warn" if others[0].startswith("matrix-") else "info"
        command = f"systemctl status {others[0]}"
        return self.found(state, f"{count} failed", (*rows, *others[MOST:]), command)


@dataclass(frozen=True)
class Drift(Check):
    """All that is on disk against what is declared. What runs has checks of its own."""

    form = "drift"
    asks = "each file, link, directory, package and account is as the config says, with what differs"

    resources: tuple[Resource, ...] = field(repr=False)

    def look(self, host: Host) -> Finding:
        manifest, rows, count = Manifest.read(host), list[str](), 0
        for wanted in dict.fromkeys(each for each in self.resources if not each.live):
            try:
                found = wanted.find(host)
            except Error as error:
                rows, count = [*rows, error.message, *([f"  {error.hint}"] if error.hint else [])], count + 1
                continue
            if found != wanted:
                rows, count = [*rows, *told(compared(wanted, found, manifest))], count + 1
        for orphan in manifest.orphans(self.resources):
            rows, count = [*rows, *told(removal(orphan))], count + 1
        if not count:
            return self.fine("everything on disk is as the config says")
        things = "1 thing is" if count == 1 else f"{count} things are"
        return self.failed(f"{things} not as the config says", *rows, next="matrix-baremetal plan", fix=APPLY)


def told(change: Change) -> Iterator[str]:
    """A change in lines, as `plan` shows it."""
    yield f"{change.verb} {change.title}" + (" (changed by hand)" if change.edited else "")
    if change.action == "update" and change.verb != "switch":
        for difference in change.differences:
            yield from (f"  {line}" for line in difference.lines)


@dataclass(frozen=True)
class Additions(Check):
    """Files of an administrator's own, which are read beside ours: they are welcome, and good to know of at night."""

    form = "drop-ins"
    asks = "an administrator has added files of their own, such as drop-ins of units"

    resources: tuple[Resource, ...] = field(repr=False)

    def look(self, host: Host) -> Finding:
        ours = {path for resource in self.resources for path in resource.paths}
        # What is below /usr is of packages, as the modules that Jitsi's Prosody reads are.
        units = (r for r in self.resources if isinstance(r, Service))
        reads = [path for unit in units for path in unit.reads if not path.startswith("/usr/")]
        folders = [path for path in dict.fromkeys(reads) if (node := host.node(path)) and node.kind == "directory"]
        added = [path for path in files(host, tuple(folders)) if path not in ours]
        if not added:
            return self.fine("nobody has added drop-ins or settings")
        return self.told(f"{len(added)} {'file' if len(added) == 1 else 'files'} of an administrator's own", *added)


@dataclass(frozen=True)
class Held(Check):
    """A port that something of ours is to listen on."""

    protocol: ClassVar[str]

    port: int
    unit: str

    @property
    def after(self) -> tuple[str, ...]:
        return (f"units.{short(self.unit)}",)

    def look(self, host: Host) -> Finding:
        port = f"port {self.port}" if self.protocol == "tcp" else f"port {self.port} (UDP)"
        there = [e for e in host.net.listeners() if (e.port, e.protocol) == (self.port, self.protocol)]
        others = [each for each in there if each.unit != self.unit]
        if others:
            seen = tuple(
                f"{each.program}, process {each.process or '?'}, unit {each.unit or 'unknown'}, at {each.address}"
                for each in others
            )
            stop = (
                f"systemctl disable --now {others[0].unit}"
                if others[0].unit
                else f"ss -lnp{self.protocol[0]} 'sport = :{self.port}'"
            )
            return self.failed(f"{port} is held by another than {self.unit}", *seen, next=stop)
        if not there:
            return self.failed(f"nothing listens on {port}", next=f"journalctl -u {short(self.unit)}")
        return self.fine(f"{self.unit} listens on {port}")


class Listens(Held):
    """The same, of TCP."""

    form = "ports.{0.port}"
    asks = "the right unit listens on a port that is needed"
    protocol = "tcp"


class Hears(Held):
    """The same, of UDP."""

    form = "ports.udp.{0.port}"
    asks = "the right unit takes what comes to a UDP port that is needed"
    protocol = "udp"


LISTENS: Mapping[str, type[Held]] = {"tcp": Listens, "udp": Hears}


@dataclass(frozen=True)
class Inside(Check):
    """A port that is for this machine alone: nothing may listen on it where others could reach it."""

    form = "exposure.{0.port}"
    asks = "a port that is for this machine alone is closed to others, as far as this machine can tell"

    port: int
    command: str = (
        "remove bind_addresses from synapse.settings and /etc/matrix-synapse/conf.d; matrix-baremetal apply"
    )

    def look(self, host: Host) -> Finding:
        there = [e for e in host.net.listeners() if (e.port, e.protocol) == (self.port, "tcp")]
        open_at = sorted({e.address for e in there if not e.local})
        if open_at:
            message = f"port {self.port} is open to others, and is for this machine alone"
            return self.failed(message, f"it listens at {', '.join(open_at)}", next=self.command)
        return self.fine(f"port {self.port} is closed to others")
