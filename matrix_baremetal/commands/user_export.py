"""user export: all that the homeserver has of one person, for whoever asks what it has of them (GDPR, article 15)."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

from matrix_baremetal import report
from matrix_baremetal.commands.person import name_of, somebody
from matrix_baremetal.components.component import DATA
from matrix_baremetal.errors import Error
from matrix_baremetal.lock import locked
from matrix_baremetal.resources.export import export
from matrix_baremetal.resources.matrix import HomeserverConfig
from matrix_baremetal.session import Session


def exported(now: Session, args: Namespace) -> int:
    """Write it into a file that is not there yet."""
    user = somebody(now, args.name)["user"]
    place = Path(args.to or f"{name_of(user).replace('/', '_')}-{time.strftime('%Y-%m-%d')}.tar.gz").absolute()
    if place.exists():
        raise Error(f"{place} is there already", hint=f"matrix-baremetal user export {args.name} --to FILE")
    if not place.parent.is_dir():
        raise Error(f"there is no directory {place.parent}", hint=f"mkdir -p {place.parent}")
    with locked(now.host, "user export"):
        [wanted] = [resource for resource in now.resources if isinstance(resource, HomeserverConfig)]
        export(now.host, wanted, user, f"{DATA}/media", place)
    if args.json:
        report.document({"user": user, "file": str(place), "bytes": place.stat().st_size})
    elif not args.quiet:
        print(f"{place} holds what this server has of {user}: messages that they can see, files that they sent,")
        print("devices, addresses, settings. What is encrypted stays encrypted. Hand it to nobody else.")
    return 0
