"""status --space: what takes the disk, by name."""

from __future__ import annotations

from collections.abc import Iterable

from matrix_baremetal import largest, report
from matrix_baremetal.largest import Largest
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import amount


def told(now: Session, *, json: bool) -> None:
    """Print each part as it is known, as the next may take minutes on a large server."""
    found = largest.read(now)
    if json:
        report.document({"server_name": now.site.config.server_name, "largest": [document(each) for each in found]})
        return
    for number, each in enumerate(found):
        print(("\n" if number else "") + "\n".join(lines(each)), flush=True)


def document(each: Largest) -> dict[str, object]:
    """One part, with stable keys."""
    rows = [{"name": name, "size": size} for name, size in each.rows]
    return {"title": each.title, "unit": each.unit, "rows": rows, "failed": each.failed or None}


def lines(each: Largest) -> Iterable[str]:
    """One part for a person."""
    yield f"Largest {each.title}:"
    if each.failed:
        yield report.indented(f"not known: {each.failed}")
    elif not each.rows:
        yield report.indented("none")
    else:
        size = amount if each.unit == "bytes" else "{:,} rows".format
        yield report.indented(report.table([(size(number), name) for name, number in each.rows]))
