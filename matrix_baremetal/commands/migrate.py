"""migrate: come by data of before in another way than by a backup."""

from __future__ import annotations

from argparse import Namespace

from matrix_baremetal.commands import postgres_major


def run(args: Namespace) -> int:
    """Run the action."""
    return {"postgres-major": postgres_major.run}[args.action](args)
