"""docs/checks.md, made from the checks themselves: `.venv/bin/python -m tests.check_list` writes it anew."""

from __future__ import annotations

from pathlib import Path

from matrix_baremetal.checks import explanations
from matrix_baremetal.checks.check import Check, documented
from matrix_baremetal.commands import doctor

FILE = Path(__file__).parents[1] / "docs/checks.md"
HEAD = """\
# What `matrix-baremetal doctor` asks

The ids are a promise: scripts and monitoring may name them. Words in capitals stand for a name, a unit, a port or a
path of your site; `matrix-baremetal doctor --list` has them filled in. `doctor dns` asks all whose ids begin so.

Each check gives one finding. **fail** is a fault, and makes the exit status 3. **warn** is something to look at soon,
and alone leaves it 0. **info** is good to know. **skip** could not be asked, and says which check to look at first.
**pass** is counted, and shown with `-v`. Those marked with * are asked before an install as well.

What others can reach is judged from this machine alone: a firewall or a router in front of it is out of its sight,
unless another machine of yours is asked, by `doctor --probe-from ssh:HOST`.

| id | asks whether |
|---|---|
"""
MEANT = """\

## What they mean, and what to do

`matrix-baremetal doctor --explain ID` prints the same, without a network.
"""


def text() -> str:
    """The file's text."""
    assert doctor.Readable in Check.kinds
    kinds = [kind for kind in Check.kinds if kind.__module__.startswith("matrix_baremetal.")]
    rows = sorted((documented(kind), kind.asks, kind.depth == 0) for kind in kinds)
    table = "".join(f"| `{form}`{' *' if early else ''} | {asks} |\n" for form, asks, early in rows)
    meant = explanations.read()
    texts = ((form, *meant[form]) for form, _, _ in rows)
    return HEAD + table + MEANT + "".join(f"\n### `{form}`\n\n{means}\n\n{todo}\n" for form, means, todo in texts)


if __name__ == "__main__":
    FILE.write_text(text())
