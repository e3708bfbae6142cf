"""apply: bring the machine to what the config says."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from matrix_baremetal import components, log, preflight, release, report, restore, session, standing
from matrix_baremetal.converge import Change, converge, plan, still_pending
from matrix_baremetal.errors import DIFFERS
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.progress import telling
from matrix_baremetal.resources import firstboot
from matrix_baremetal.session import Session
from matrix_baremetal.signals import stoppable


def run(args: Namespace) -> int:
    """Converge; 0 when all is as it should be, 3 when something is pending and a timer will try again."""
    host = Host(Path(args.root))
    if host.live:
        preflight.check_machine(host)
    with locked(host, "apply", wait=args.wait):
        now = session.begin(args.root, args.config, args.wheelhouse)
        changes = bring(now, json=args.json, quiet=args.quiet)
        if host.live:
            firstboot.carried_out(host)
    report.applied(now.site, changes, json=args.json, quiet=args.quiet)
    return DIFFERS if still_pending(changes) else 0


def bring(now: Session, *, json: bool, quiet: bool) -> list[Change]:
    """Look first, and where something differs check that nothing is in the way; then converge, telling each step."""
    if not any(plan(now.resources, now.host, now.manifest)) and now.manifest.server_name:
        # What no run opens, although somebody may run this for it.
        for remark in standing.unattended(now.site, now.host):
            log.warn(remark)
        ended(now)
        return []
    preflight.check(now.site, now.needs, now.host, now.manifest)
    for remark in preflight.remarks(now.site, now.host):
        log.warn(remark)
    now.manifest.server_name = now.site.config.server_name
    changes = []
    with stoppable() as stop, telling(json=json, quiet=quiet) as progress:
        for change in converge(now.resources, now.host, now.manifest):
            progress.tell(change)
            if change.ended:
                changes.append(change)
                stop.heed()
    ended(now)
    return changes


def ended(now: Session) -> None:
    """Where an upgrade was killed, this run has brought the one version or the other; and a restore that had put its
    rows in place is at its end: the same backup brought back at another time is another restore.
    """
    host = now.host
    if not host.live:
        return
    release.settled(host, now.site.versions.synapse.version)
    if kept := restore.noted(host):
        stores = components.data(now.site).stores.values()
        if all(store.copy.taken(host, kept) for store in stores):
            restore.end(now, kept)
