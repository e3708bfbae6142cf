"""uninstall: stop and remove what was made here."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from matrix_baremetal import report, session, uninstall
from matrix_baremetal.commands import asking
from matrix_baremetal.converge import Change
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.progress import telling
from matrix_baremetal.session import Session
from matrix_baremetal.signals import stoppable

FAREWELL = """\
Data, secrets, config, certificates and backups are where they were.
To have the server back: matrix-baremetal install"""


def run(args: Namespace) -> int:
    """Ask, then undo one thing after the other."""
    host = Host(Path(args.root))
    if not host.live or not host.superuser:
        raise Error("uninstall is for a machine that runs, by root", hint="sudo matrix-baremetal uninstall")
    with locked(host, "uninstall", wait=args.wait):
        now = session.begin(args.root, args.config)
        if not args.yes:
            agreed(now, purge=args.purge)
        changes: list[Change] = []
        with stoppable() as stop, telling(json=args.json, quiet=args.quiet) as progress:
            for change in uninstall.steps(now, purge=args.purge):
                progress.tell(change)
                if change.ended:
                    changes.append(change)
                    stop.heed()
    if args.json:
        rows = {"server_name": now.site.config.server_name, "purged": args.purge}
        report.document({**rows, "changes": [report.row(change) for change in changes]})
    elif not args.quiet:
        print(f"\n{now.site.config.server_name} is no longer on this machine." if args.purge else f"\n{FAREWELL}")
        print("The package itself goes with: apt remove matrix-baremetal")
    return 0


def agreed(now: Session, *, purge: bool) -> None:
    """Ask a person, who types the server's name before data goes. Raises `Unanswered`."""
    name = now.site.config.server_name
    command = "matrix-baremetal uninstall --purge --yes" if purge else "matrix-baremetal uninstall --yes"
    if not purge:
        wanted, question = "yes", f"{name} is stopped and removed from this machine; its data stays. {asking.GO_ON}"
    else:
        lines = "\n".join(f"  {line}" for line in uninstall.listed(now))
        told = f"This goes for good, and nobody can be {name} again without a backup that is elsewhere:\n{lines}"
        wanted, question = name, f"{told}\nType {name} to go on: "
    asking.agreed(question, f"nobody is here to say whether {name} may go", command, wanted)
