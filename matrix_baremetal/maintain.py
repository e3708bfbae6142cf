"""The database made smaller, or its free room of use again: what is worth it, what is in the way, and in which order.

All but the rewrites goes on beside the server. For those it stands still; a note says so, and whichever run comes
after a kill has it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from matrix_baremetal.components.component import STATE
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.synapse import UNIT
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.matrix import Homeserver
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.resources.systemd import shown
from matrix_baremetal.resources.upkeep import Part, Upkeep, Work
from matrix_baremetal.session import Session
from matrix_baremetal.signals import Stop
from matrix_baremetal.transfer import Transfer, amount

NOTE = f"{STATE}/maintain.json"
MB = 1024 * 1024
# Bytes a second that a table is written anew with its indexes on a slow disk, and seconds for a stop and a start.
RATE, FIXED = 20 * MB, 20


@dataclass
class Outlook:
    """What was measured, and what is worth doing about it: while the server runs, and while it stands still."""

    size: int
    parts: list[Part]
    leftovers: list[Work]
    vacuums: list[Work]
    reindexes: list[Work]
    rewrites: list[Work]
    done: list[tuple[Work, float]] = field(default_factory=list)

    @property
    def empty(self) -> int:
        """Bytes that hold nothing, as far as large parts go."""
        return sum(part.empty for part in self.parts)


def upkeep(now: Session) -> Upkeep:
    """That of the store of this site."""
    return now.site.store(USER).upkeep


def look(now: Session) -> Outlook:
    """Measure. Blocks nobody, and changes nothing. Raises `Error`."""
    means, host = upkeep(now), now.host
    parts = means.measure(host)
    works = (means.leftovers(host), means.vacuums(parts), means.reindexes(parts), means.rewrites(parts))
    return Outlook(now.site.store(USER).size(host), parts, *works)


def obstacles(now: Session, works: Sequence[Work]) -> Iterator[Obstacle]:
    """Room that is missing. One after the other they are done, so the largest counts."""
    most = max(works, key=lambda work: work.room, default=None)
    place = upkeep(now).place
    free = now.host.space(place).size
    if most and free < most.room:
        yield Obstacle(
            f"{place} has {amount(free)} free, and to {most.title} takes up to {amount(most.room)} for a while",
            "make room: du -xh /var/lib | sort -h | tail; or use a larger disk",
        )


def seconds(works: Sequence[Work]) -> int:
    """About how long the homeserver is away for them."""
    return FIXED + sum(work.part.size for work in works) // RATE


def carried_out(now: Session, works: Sequence[Work], outlook: Outlook, transfer: Transfer, stop: Stop) -> None:
    """One statement after the other; each is told, with how long it took. Raises `Error`."""
    for work in works:
        stop.heed()
        size = f" ({amount(work.part.size)})" if work.part.size else ""
        transfer.begin(f"{work.title}{size}")
        with transfer.ticking():
            upkeep(now).carry_out(now.host, work)
        outlook.done.append((work, transfer.end()))


def beside(now: Session, outlook: Outlook, transfer: Transfer, stop: Stop) -> None:
    """What needs no standstill. What of an index is empty shows once its table has been cleared. Raises `Error`."""
    carried_out(now, [*outlook.leftovers, *outlook.vacuums], outlook, transfer, stop)
    reindexes = look(now).reindexes if outlook.vacuums else outlook.reindexes
    for each in obstacles(now, reindexes):
        raise Error(each.message, hint=each.hint)
    carried_out(now, reindexes, outlook, transfer, stop)


@contextlib.contextmanager
def standing_still(now: Session, transfer: Transfer, clock: Callable[[], float]) -> Iterator[list[float]]:
    """Stop the homeserver, and have it answer again in any case; the list gets for how many seconds it was away.

    One that did not run before is left alone.
    """
    host, away = now.host, list[float]()
    if host.node(NOTE) is None and shown(host, UNIT, "ActiveState")["ActiveState"] not in ("active", "activating"):
        transfer.say(f"  ! {UNIT} does not run, and is left so")
        yield away
        return
    host.write(NOTE, '{"stopped": true}\n', 0o600)
    began = clock()
    try:
        transfer.begin(f"stop {UNIT}")
        host.run("systemctl", "stop", UNIT, timeout=300)
        transfer.end()
        yield away
    except Error as error:
        try:
            answering(now, transfer)
        except Error as worse:
            raise Error(
                f"{error.message}; and the homeserver did not come back: {worse.message}",
                hint="matrix-baremetal apply",
            ) from None
        raise
    answering(now, transfer)
    away.append(clock() - began)


def cut_off(host: Host) -> bool:
    """Whether a run before was killed while the homeserver stood still."""
    return host.node(NOTE) is not None


def answering(now: Session, transfer: Transfer) -> None:
    """Have the homeserver run, and wait until it really answers. Raises `Error`."""
    transfer.begin(f"start {UNIT}, and wait until it answers")
    wanted: tuple[Resource, ...] = tuple(
        each for each in now.resources if each.key == (Service.__name__, UNIT) or isinstance(each, Homeserver)
    )
    for _ in converge(wanted, now.host, now.manifest, whole=False):
        pass
    now.host.remove(NOTE)
    transfer.end()
