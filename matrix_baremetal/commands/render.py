"""render: the files that apply would write, below a directory of one's own."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from matrix_baremetal import report, session
from matrix_baremetal.host import said_of
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.resource import Resource


def run(args: Namespace) -> int:
    """Write each file of the declaration below DIR, owned by whoever runs this; secrets are not among them."""
    now = session.begin(args.root, args.config)
    written = write(now.resources, Path(args.directory))
    report.rendered(written, json=args.json, quiet=args.quiet)
    return 0


def write(resources: tuple[Resource, ...], directory: Path) -> list[str]:
    """Write the files; the paths written, below `directory`."""
    written = []
    for resource in resources:
        if isinstance(resource, File):
            path = directory / resource.path.lstrip("/")
            with said_of(str(path)):
                path.parent.mkdir(parents=True, exist_ok=True)
                # Nobody else's before it has its mode: synapse.settings may hold a password.
                path.touch(0o600)
                path.write_text(resource.content, "utf-8", newline="")
                path.chmod(resource.mode)
            written.append(str(path))
    return written
