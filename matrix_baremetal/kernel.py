"""What the running kernel says: memory, processors, and who listens.

The only importer of psutil.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

from matrix_baremetal import sockets


@dataclass(frozen=True)
class Listener:
    """A program that listens on a port, and the systemd unit that it belongs to, as far as can be known.

    `address` is where it listens: 0.0.0.0 and :: are everywhere.
    """

    port: int
    process: int | None
    program: str
    unit: str | None
    address: str = ""
    protocol: str = "tcp"

    @property
    def named(self) -> str:
        """The port as people say it."""
        return str(self.port) if self.protocol == "tcp" else f"{self.port} (UDP)"

    @property
    def local(self) -> bool:
        """Whether this machine alone can reach it."""
        return ipaddress.ip_address(self.address.partition("%")[0]).is_loopback


def memory() -> int:
    """The memory of this machine in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)


def processors() -> int:
    """The number of processors, as programs see them."""
    import psutil

    return psutil.cpu_count() or 1


def listeners() -> tuple[Listener, ...]:
    """Who listens on this machine now: each program, protocol, port and address once."""
    import psutil

    found, groups = {}, None
    for connection in psutil.net_connections("inet"):
        # A socket of UDP that is bound and not connected takes what anybody sends.
        protocol = "udp" if connection.type == sockets.DATAGRAM else "tcp"
        if connection.status == psutil.CONN_LISTEN or (protocol == "udp" and not connection.raddr):
            (address, port), pid = connection.laddr[:2], connection.pid
            unit = unit_of(pid)
            if unit is None:
                # Root in a hardened unit can't look into other processes.
                groups = sockets.groups() if groups is None else groups
                unit = unit_in(groups.get((protocol, address, port), ""))
            found[protocol, address, port, pid] = Listener(port, pid, program_of(pid), unit, address, protocol)
    return tuple(found.values())


def program_of(process: int | None) -> str:
    """The name of a process, which may be another user's, or have ended by now."""
    import psutil

    try:
        return str(psutil.Process(process).name()) if process else "another program"
    except psutil.Error:
        return "another program"


def unit_of(process: int | None) -> str | None:
    """The systemd unit of a process, from its control group."""
    try:
        with open(f"/proc/{process}/cgroup") as file:
            return unit_in(file.read())
    except OSError:
        return None


def unit_in(text: str) -> str | None:
    """The unit that a control group is of."""
    found = re.search(r"([^/\n]+\.(?:service|socket|scope))$", text, re.MULTILINE)
    return found[1] if found else None


def holders(place: Path) -> tuple[str, ...]:
    """Which programs have a file open now, also those that see it under another name."""
    import psutil

    found = set()
    try:
        wanted = place.stat()
    except OSError:
        return ()
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{process.pid}/fd"):
                with contextlib.suppress(OSError):
                    there = os.stat(f"/proc/{process.pid}/fd/{name}")
                    if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino):
                        found.add(f"{process.info['name']} (process {process.pid})")
    return tuple(sorted(found))
