"""The loop: find, compare, make, look again. It knows neither components nor kinds of resource."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matrix_baremetal.errors import Error, Pending
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import Key, Manifest
from matrix_baremetal.resources.resource import Difference, Resource

Outcome = Literal["planned", "begun", "done", "pending", "deferred"]


@dataclass(frozen=True)
class Change:
    """One thing that differs, and how far we are with it.

    `action` is one of three, `verb` the word for a person; `kept` names the copy of a hand-made state that ours
    replaced; `reason` says why it is pending, or waits for the first boot, and `hint` what to do where it is ours.
    """

    kind: str
    name: str
    title: str
    action: Literal["create", "update", "remove"]
    verb: str = ""
    differences: tuple[Difference, ...] = ()
    outcome: Outcome = "planned"
    edited: bool = False
    kept: tuple[str, ...] = ()
    reason: str | None = None
    hint: str | None = None
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether this says how the change ended, not that it begins."""
        return self.outcome in ("done", "pending", "deferred")


def plan(resources: Sequence[Resource], host: Host, manifest: Manifest) -> Iterator[Change]:
    """Yield what `converge` would change, in its order. Writes nothing."""
    touched: list[str] = []
    turns: dict[Key, tuple[Resource | None, int]] = {}
    told: set[Key] = set()
    seen = at_once(resources, host)
    for place, wanted in enumerate(resources):
        # One that is listed twice is as its first turn leaves it, and looks again only at what changes after that.
        found, since = turns.get(wanted.key) or (seen[place] if place in seen else wanted.find(host), 0)
        found = found and found.stale_after(frozenset(touched[since:]))
        if found != wanted:
            told.add(wanted.key)
            touched += wanted.paths
            yield compared(wanted, found, manifest)
        turns[wanted.key] = (found if found == wanted else wanted, len(touched))
    gone: list[str] = []
    for orphan in manifest.orphans(resources):
        gone += orphan.paths
        yield removal(orphan)
    for wanted in readers(resources, gone):
        # What differs anyway has been told.
        if wanted.key not in told:
            yield compared(wanted, wanted.stale_after(frozenset(gone)), manifest)


def at_once(resources: Sequence[Resource], host: Host) -> dict[int, Resource | None]:
    """What the host has of those whose kind finds several by one look, by their place in the list."""
    kinds: dict[type[Resource], list[int]] = {}
    for place, wanted in enumerate(resources):
        kinds.setdefault(type(wanted), []).append(place)
    found: dict[int, Resource | None] = {}
    for kind, places in kinds.items():
        found.update(zip(places, kind.find_each([resources[place] for place in places], host), strict=False))
    return found


def readers(resources: Sequence[Resource], gone: Sequence[str]) -> tuple[Resource, ...]:
    """Those that have read what is gone now, each once."""
    touched = frozenset(gone)
    found = {each.key: each for each in resources if each.stale_after(touched) != each}
    return tuple(found.values())


def converge(
    resources: Sequence[Resource], host: Host, manifest: Manifest, *, whole: bool = True
) -> Iterator[Change]:
    """Bring the host to the state that the resources declare; each change is yielded as it begins and as it ends.

    What was made before and is not among them is undone, unless they are not the `whole` of a site.
    Whoever stops asking stops the run between two steps. Raises `Error` where a step fails, or leaves a state that
    still differs; one that is `Pending`, or fails and is spare, is told and passed over.
    """
    news, announced, seen = False, False, at_once(resources, host)
    for place, wanted in enumerate(resources):
        found = seen[place] if place in seen else wanted.find(host)
        if found == wanted:
            news |= manifest.settle(wanted)
            continue
        change = compared(wanted, found, manifest)
        if wanted.live and not host.live:
            yield replace(change, outcome="deferred", reason="waits for the first boot")
            continue
        if not announced:
            manifest.announce(resources)
            manifest.write(host)
            announced = True
        seen.clear()  # what is made now may show in what comes after it
        yield replace(change, outcome="begun")
        yield made(wanted, found, change, host, manifest)
    gone: list[str] = []
    for orphan in tuple(manifest.orphans(resources)) if whole else ():
        news = True
        gone += orphan.paths
        yield replace(removal(orphan), outcome="begun")
        yield removed(orphan, host, manifest)
    for wanted in readers(resources, gone):
        found = wanted.find(host)
        if found is not None and found != wanted:
            change = compared(wanted, found, manifest)
            yield replace(change, outcome="begun")
            yield made(wanted, found, change, host, manifest)
    if news or announced:
        manifest.write(host)


def made(wanted: Resource, found: Resource | None, change: Change, host: Host, manifest: Manifest) -> Change:
    """Make one resource, and look again."""
    began = time.monotonic()
    kept = displaced(found, host, manifest)
    try:
        wanted.make(host, found)
    except Error as error:
        if not (wanted.spare or isinstance(error, Pending)):
            raise
        seconds = time.monotonic() - began
        return replace(change, outcome="pending", reason=error.message, hint=error.hint, seconds=seconds)
    again = wanted.find(host)
    if again != wanted:
        rows = "; ".join(f"{d.field} is {d.before or 'not there'}, not {d.after}" for d in wanted.differences(again))
        raise Error(f"{wanted.title} was made and is still not as it should be: {rows}", hint="matrix-baremetal plan")
    manifest.settle(wanted)
    return replace(change, outcome="done", kept=kept, seconds=time.monotonic() - began)


def removed(orphan: Resource, host: Host, manifest: Manifest) -> Change:
    """Undo one thing that nobody asks for any more; one that is still in use is taken away by what comes after it."""
    began = time.monotonic()
    kept = displaced(orphan.find(host), host, manifest)
    change = replace(removal(orphan), outcome="done", kept=kept)
    try:
        if orphan.undoable:
            orphan.undo(host)
    except Pending as error:
        change = replace(change, outcome="pending", reason=error.message)
    manifest.forget(orphan.key)
    return replace(change, seconds=time.monotonic() - began)


def displaced(found: Resource | None, host: Host, manifest: Manifest) -> tuple[str, ...]:
    """Keep aside what a person made of a thing, before ours replaces it."""
    if found is None or manifest.ours(found):
        return ()
    return tuple(kept for path in found.editable if (kept := host.displace(path)))


def compared(wanted: Resource, found: Resource | None, manifest: Manifest) -> Change:
    """The difference between what is and what should be."""
    return Change(
        *wanted.key,
        title=wanted.title,
        action="create" if found is None else "update",
        verb=wanted.verb(found),
        differences=wanted.differences(found),
        edited=found is not None and bool(found.editable) and not manifest.ours(found),
    )


def still_pending(changes: Iterable[Change]) -> list[Change]:
    """Those that are pending: the next run, or a timer, goes on with them."""
    return [change for change in changes if change.outcome == "pending"]


def removal(orphan: Resource) -> Change:
    """What becomes of a thing that nobody asks for any more; what holds data stays, and is only forgotten."""
    return Change(*orphan.key, title=orphan.title, action="remove", verb="remove" if orphan.undoable else "forget")


def ensure(resources: Sequence[Resource], host: Host) -> None:
    """Make what is missing of things that no config declares, such as an account that a command asks for."""
    for wanted in resources:
        found = wanted.find(host)
        if found != wanted and (host.live or not wanted.live):
            wanted.make(host, found)
