"""systemd units: enabled, running, and running with what their files say now.

No handlers and no notifications: a service is *stale* when the stamp of its last start names another digest of
what it reads, or, where it was started by somebody else (a boot, a crash, a person), when a file that it reads is
newer than its process. So a kill between writing a file and reloading its reader is repaired by the next run.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Error, Pending
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Reader, Resource
from matrix_baremetal.resources.systemd import last_lines, main_process, shown, shown_of_each
from matrix_baremetal.shell import Failed

# Seconds: longer than a unit of ours may take itself (TimeoutStartSec=), as a new schema takes its time.
START = 1900
# Seconds: how soon a reload shows.
TAKEN_UP = 10
STAMPS = "/run/matrix-baremetal"
# When it began: its main process, or the unit where it has none (a target, a timer).
BEGAN = ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
PROPERTIES = ("LoadState", "ActiveState", "UnitFileState", "NeedDaemonReload", "InvocationID", *BEGAN)


@dataclass(frozen=True)
class Service(Reader):
    """A unit that runs, and starts at boot.

    `reads` are the files and directories (of drop-ins) whose content it took at its start. Those of them that are
    among `reloads` it takes again on `systemctl reload`, with new workers where it has any, and says in `log` why it
    didn't; for others it is restarted. `light` says that it is stale in such alone. It waits for its `program`,
    where one is named.
    """

    live: ClassVar[bool] = True

    unit: str
    reads: tuple[str, ...] = field(default=(), compare=False)
    enabled: bool = True
    active: bool = True
    stale: bool = False
    light: bool = field(default=False, compare=False)
    reloads: tuple[str, ...] = field(default=(), compare=False)
    log: str = field(default="", compare=False)
    program: str = field(default="", compare=False)

    @property
    def title(self) -> str:
        return self.unit

    @property
    def noun(self) -> str:
        return "unit"

    @property
    def stamp(self) -> str:
        """Where digests of what it last took up are kept; gone after a boot, as the process is."""
        return f"{STAMPS}/{self.unit}.stamp"

    def find(self, host: Host) -> Self | None:
        if not host.live:
            return None
        return self.found(host, shown(host, self.unit, *PROPERTIES))

    @classmethod
    def find_each(cls, wanted: Sequence[Self], host: Host) -> Sequence[Self | None]:
        if not host.live:
            return ()
        units = tuple(dict.fromkeys(each.unit for each in wanted))
        seen = shown_of_each(host, units, *PROPERTIES)
        return [each.found(host, seen[each.unit]) for each in wanted]

    def found(self, host: Host, seen: Mapping[str, str]) -> Self | None:
        """The same, where systemd has been asked for these properties already."""
        if seen["LoadState"] == "not-found":
            return None
        active = seen["ActiveState"] in ("active", "reloading", "activating")
        fresh = replace(self, enabled=seen["UnitFileState"] in STARTS, active=active, stale=False, light=False)
        if not active or not self.reads:
            return fresh
        kept, taken = self._stale(host, seen)
        # A unit that is another is started anew, but where a reload is all that there is.
        kept |= seen["NeedDaemonReload"] == "yes" and bool(self.kept)
        taken |= seen["NeedDaemonReload"] == "yes" and not self.kept
        return replace(fresh, stale=kept or taken, light=taken and not kept)

    @property
    def kept(self) -> tuple[str, ...]:
        """What it reads at its start alone."""
        return tuple(path for path in self.reads if path not in self.reloads)

    def verb(self, found: Resource | None) -> str:
        if not isinstance(found, Service) or not found.active:
            return "start"
        if found.stale:
            return "reload" if found.light else "restart"
        return "enable"

    def staled(self) -> Self:
        return replace(self, stale=True)

    def stale_after(self, touched: frozenset[str]) -> Self:
        # What does not run reads all of it when it starts.
        old = self.touched(touched) if self.active else frozenset[str]()
        light = old.issubset(self.reloads) and (self.light or not self.stale)
        return replace(self.staled(), light=light) if old else self

    def _stale(self, host: Host, seen: Mapping[str, str]) -> tuple[bool, bool]:
        """Whether it is in what it reads at its start alone, and in what a reload takes up."""
        parts = self.kept, self.reloads
        invocation, *digests = (host.text(self.stamp) or "").split() or [""]
        if invocation == seen["InvocationID"] and len(digests) == len(parts):
            kept, taken = (old != content(host, part) for old, part in zip(digests, parts, strict=True))
            return kept, taken
        began = next((int(seen[name]) for name in BEGAN if seen[name] not in ("", "0")), 0)
        since = time.time() - (time.clock_gettime(time.CLOCK_MONOTONIC) - began / 1e6)
        return newest(host, self.kept) > since, newest(host, self.reloads) > since

    def make(self, host: Host, found: Self | None) -> None:
        if self.program and host.node(self.program) is None:
            raise Pending(f"its program {self.program} is not there yet")
        host.run("systemctl", "daemon-reload")
        if self.enabled and not (found and found.enabled):
            host.run("systemctl", "enable", "--quiet", self.unit)
        if (verb := self.verb(found)) != "enable":
            # Before the start: a file that changes while the process is starting makes it stale, not current.
            digests = content(host, self.kept), content(host, self.reloads)
            self._bring(host, verb)
            self._remember(host, *digests)

    def _bring(self, host: Host, verb: str) -> None:
        before = workers(host, self.unit) if verb == "reload" else ()
        try:
            host.run("systemctl", "reset-failed", self.unit, ok=(0, 1))
            host.run("systemctl", verb, self.unit, timeout=START)
        except Failed:
            raise self._refused(host, verb) from None
        if verb == "reload":
            self._taken_up(host, before)

    def _taken_up(self, host: Host, before: tuple[str, ...]) -> None:
        """Wait for new workers: a reload returns before there are any, and succeeds where there never will be.

        Who has none shows nothing: what it serves is for doctor to look at.
        """
        until = time.monotonic() + TAKEN_UP
        while before and not set(workers(host, self.unit)).difference(before):
            if time.monotonic() > until:
                raise self._refused(host, "reload")
            time.sleep(0.02)

    def _refused(self, host: Host, verb: str) -> Error:
        told = [*last_lines(host, self.unit, 12)]
        told += (host.text(self.log) or "").splitlines()[-4:] if self.log else []
        running = ", and runs on as it was" if verb == "reload" else ""
        return Error(
            f"{self.unit} would not {verb}{running}; its last lines are:\n" + "\n".join(told),
            hint=f"journalctl -u {self.unit}",
        )

    def _remember(self, host: Host, *digests: str) -> None:
        invocation = shown(host, self.unit, "InvocationID")["InvocationID"]
        host.mkdir(STAMPS, 0o755)
        host.write(self.stamp, f"{' '.join((invocation, *digests))}\n", 0o644)

    @property
    def undoable(self) -> bool:
        # nginx, Postgres and certbot's timer were there before us, or serve others beside us.
        return self.unit.startswith("matrix-")

    def undo(self, host: Host) -> None:
        host.run("systemctl", "disable", "--quiet", "--now", self.unit, ok=range(256))
        host.remove(self.stamp)


# What `systemctl is-enabled` calls a unit that a boot starts, directly or because another wants it.
STARTS = ("enabled", "enabled-runtime", "static", "indirect", "generated", "alias")


def workers(host: Host, unit: str) -> tuple[str, ...]:
    """The processes that a unit's main process has started (proc(5), children)."""
    main = main_process(host, unit)
    return tuple((host.text(f"/proc/{main}/task/{main}/children") or "").split())


def files(host: Host, reads: tuple[str, ...]) -> list[str]:
    """The files that these paths stand for: those of a directory one by one, links as themselves."""
    found = []
    for path in reads:
        node = host.node(path)
        if node is not None and node.kind == "directory":
            found += [f"{path}/{name}" for name in host.names(path)]
        else:
            found.append(path)
    return found


def content(host: Host, reads: tuple[str, ...]) -> str:
    """A digest of what these paths hold; a link counts with its target's name and content."""
    digest = hashlib.sha256()
    for path in files(host, reads):
        data = host.read(path)
        parts = (path, host.target(path) or "", "" if data is None else hashlib.sha256(data).hexdigest())
        digest.update("\0".join(parts).encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:32]


def newest(host: Host, reads: tuple[str, ...]) -> float:
    """When the last of these paths changed (seconds since 1970), links and their targets."""
    times = [0.0]
    for path in (*reads, *files(host, reads)):
        node = host.node(path)
        if node is not None:
            times.append(node.changed)
            if node.kind == "link" and host.path(path).exists():
                times.append(host.path(path).stat().st_mtime)
    return max(times)
