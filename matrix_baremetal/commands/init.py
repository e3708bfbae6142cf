"""init: the few questions that have no default, and the config written from the answers."""

from __future__ import annotations

import os
import socket
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from matrix_baremetal import first_config, log, names, report, session
from matrix_baremetal.components.turn import DEBIANS, ENCRYPTED, PLAIN, UNIT
from matrix_baremetal.errors import USAGE, Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.packages import installed

Check = Callable[[str], str]


class Unanswered(Error):
    """Something must be asked and nobody can be, or nobody said yes: all of it is named at once."""

    status = USAGE


def run(args: Namespace) -> int:
    """Write the config; an existing one is never touched."""
    path = place(args)
    if there(args):
        raise Error(
            f"{path} exists already", hint=f"edit it, then run: matrix-baremetal plan; or remove it: rm {path}"
        )
    write(args)
    if args.json:
        report.document({"config": str(path)})
    elif not args.quiet:
        print(f"Wrote {path}.\nNext: matrix-baremetal plan, then matrix-baremetal install")
    return 0


def place(args: Namespace) -> Path:
    """Where the config is."""
    return Path(args.config) if args.config else Host(Path(args.root)).path(session.CONFIG)


def there(args: Namespace) -> bool:
    """Whether there is a config already."""
    host, name = seam(args)
    return host.node(name) is not None


def seam(args: Namespace) -> tuple[Host, str]:
    """The same place, as a host and a path on it: --config names a file of this machine, whatever --root says."""
    return (Host(), os.path.abspath(args.config)) if args.config else (Host(Path(args.root)), session.CONFIG)


def write(args: Namespace) -> bool:
    """Ask what is missing where there is somebody to ask, and write the config in one step; whether one was asked."""
    asking = terminal() and not (args.yes or args.unattended)
    server_name, email = args.server_name, args.email
    if asking:
        server_name = server_name or asked_name()
        email = email or asked_email()
    if not server_name:
        raise Unanswered(
            "the server name is missing: the part after the colon in @alice:example.org (--server-name)",
            hint="matrix-baremetal init --server-name example.org --email you@example.org --yes",
        )
    host, name = seam(args)
    without = dict.fromkeys(args.without, "left out when this was written")
    if "turn" not in without and (taken := relays(host)):
        log.warn(f"{taken}, so calls are not relayed: see turn in {name}")
        without["turn"] = taken
    text = first_config.text(server_name, email or None, getattr(args, "admin", None), without=without)
    if host.node(os.path.dirname(name)) is None:
        host.mkdir(os.path.dirname(name), 0o755)
    # Root's alone: synapse.settings may come to hold a password.
    host.write(name, text, 0o600)
    return asking


def relays(host: Host) -> str | None:
    """Why this machine can't relay calls for us, as something else does already; None where it can."""
    if not host.live:
        return None
    if "coturn" in installed(host) and Mask(DEBIANS).find(host) is None:
        return "there is a coturn here already"
    found = (each for each in host.net.listeners() if each.port in (PLAIN, ENCRYPTED))
    return next((f"port {each.named} is in use" for each in found if each.unit != UNIT), None)


def terminal() -> bool:
    """Whether there is somebody to ask; a program started without any streams has None there."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def asked_name() -> str:
    """The server name, from a person."""
    print(
        "Your server's name is the part after the colon in every address on it, as in\n"
        "@alice:example.org. It can never be changed later. Most people take their\n"
        "domain as it is, without matrix. before it."
    )
    return ask("Server name", default=domain(), check=names.server_name)


def asked_email() -> str:
    """Where Let's Encrypt may write to; empty is allowed."""
    return ask("E-mail for the certificate authority (may be empty)", default="", check=names.email)


def ask(question: str, *, default: str, check: Check) -> str:
    """Ask until the answer is good. Raises `Error` when the person leaves (Ctrl-D)."""
    while True:
        try:
            answer = input(f"{question}{f' [{default}]' if default else ''}: ").strip() or default
        except EOFError:
            print()
            raise Error("no answer was given", hint="matrix-baremetal init --help") from None
        try:
            return check(answer) if answer or default else ""
        except ValueError as error:
            print(report.wrapped(f"  {error}", 2))


def domain() -> str:
    """This machine's domain, as a suggestion."""
    name = socket.getfqdn()
    _, _, rest = name.partition(".")
    return rest if "." in rest else ""
