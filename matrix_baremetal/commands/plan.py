"""plan: what apply would change."""

from __future__ import annotations

from argparse import Namespace

from matrix_baremetal import log, preflight, report, session
from matrix_baremetal.converge import plan
from matrix_baremetal.errors import DIFFERS


def run(args: Namespace) -> int:
    """Show the changes; 3 where there are any. Writes nothing and takes no lock."""
    now = session.begin(args.root, args.config)
    changes = list(plan(now.resources, now.host, now.manifest))
    obstacles = preflight.obstacles(now.site, now.needs, now.host, now.manifest) if changes else []
    report.plan(now.site, changes, obstacles, json=args.json, verbose=args.verbose)
    for remark in preflight.remarks(now.site, now.host) if changes else ():
        log.warn(remark)
    return DIFFERS if changes else 0
