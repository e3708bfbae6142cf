"""What systemd and its journal say of a unit. Looks only."""

from __future__ import annotations

from collections.abc import Sequence

from matrix_baremetal.host import Host


def shown(host: Host, unit: str, *properties: str, timeout: float = 60) -> dict[str, str]:
    """The properties of a unit by name; one that it doesn't have is empty."""
    return shown_of_each(host, (unit,), *properties, timeout=timeout)[unit]


def shown_of_each(
    host: Host, units: Sequence[str], *properties: str, timeout: float = 60
) -> dict[str, dict[str, str]]:
    """The same of several units, which takes no longer than of one."""
    told = host.run("systemctl", "show", f"--property={','.join(properties)}", *units, timeout=timeout).out
    # In their order, with an empty line between them.
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in told.split("\n\n")]
    return {
        unit: {name: rows.get(name, "") for name in properties} for unit, rows in zip(units, blocks, strict=False)
    }


def main_process(host: Host, unit: str) -> str:
    """The number of a unit's main process; 0 where there is none."""
    return shown(host, unit, "MainPID")["MainPID"]


def last_lines(host: Host, unit: str, count: int, timeout: float = 60) -> tuple[str, ...]:
    """The last lines that a unit left in the journal."""
    words = ("-q", "-n", str(count), "-o", "cat", "-u", unit)
    told = host.run("journalctl", *words, ok=range(256), timeout=timeout).out
    return tuple(line.strip() for line in told.splitlines() if line.strip())
