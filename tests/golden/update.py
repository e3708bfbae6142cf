"""Remakes every case's tree and listing: .venv/bin/python -m tests.golden.update"""

from __future__ import annotations

import shutil

from matrix_baremetal.commands.render import write
from tests.golden.cases import NAMES, Case

if __name__ == "__main__":
    for name in NAMES:
        case = Case(name)
        shutil.rmtree(case.folder / "tree", ignore_errors=True)
        write(case.resources, case.folder / "tree")
        (case.folder / "resources.txt").write_text(case.listing)
        print(name)
