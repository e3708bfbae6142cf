"""bridge: which there are, how they are, and what to do first. Changes nothing."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict

from matrix_baremetal import components, report, session
from matrix_baremetal.checks.check import short
from matrix_baremetal.components.bridges import BRIDGES
from matrix_baremetal.components.bridges.bridge import Bridge
from matrix_baremetal.doctor import examine
from matrix_baremetal.errors import USAGE, Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.session import Session
from matrix_baremetal.shape import meant

FAULT = 3


class Unknown(Error):
    """There is no such bridge, or the config does not ask for it."""

    status = USAGE


def run(args: Namespace) -> int:
    """Do what `bridge ACTION` says."""
    now = session.begin(args.root, args.config)
    there = [kind(now.site) for kind in BRIDGES]
    if args.action == "list":
        listed(there, json=args.json)
        return 0
    wanted = [bridge for bridge in there if bridge.wanted()]
    if args.name is not None:
        wanted = [asked_for(there, args.name)]
    if args.action == "status":
        return status(now, wanted, args)
    helped(wanted[0], json=args.json)
    return 0


def asked_for(there: Sequence[Bridge], name: str) -> Bridge:
    """The bridge of a name. Raises `Unknown`."""
    found = next((bridge for bridge in there if bridge.name == name), None)
    if found is None:
        near = meant(name, [bridge.name for bridge in there])
        text = f"there is no bridge {name}" + (f"; {near}" if near else "")
        raise Unknown(text, hint="matrix-baremetal bridge list")
    if not found.wanted():
        raise Unknown(
            f"the config does not ask for the bridge {name}",
            hint=f"write bridges: {{{name}: {{{found.keys}}}}} into the config, then: matrix-baremetal apply",
        )
    return found


def listed(there: Sequence[Bridge], *, json: bool) -> None:
    """All that this release has."""
    if json:
        rows = [
            {"name": each.name, "enabled": each.wanted(), "bot": each.account, "unit": each.unit, "keeps": each.keeps}
            for each in there
        ]
        report.document({"bridges": rows})
        return
    words = [("NAME", "STATE", "TALK TO", "UNIT")]
    words += [(b.name, "on" if b.wanted() else "off", b.account, b.unit) for b in there]
    print(report.table(words))


def status(now: Session, wanted: Sequence[Bridge], args: Namespace) -> int:
    """What doctor finds of them."""
    if not now.host.live:
        raise Error("bridges are looked at on a machine that runs", hint="matrix-baremetal bridge list")
    if not wanted and not args.json:
        print("The config asks for no bridge. Which there are: matrix-baremetal bridge list")
        return 0
    forms = ("bridges.{}", "bridges.rows.{}")
    ids = {form.format(each.name) for each in wanted for form in forms}
    ids |= {f"units.{short(unit)}" for each in wanted for unit in each.units}
    needed = ids | {"synapse.ready"}
    found = examine([check for check in components.checks(now.site) if check.id in needed], now.host)
    rows: list[Finding] = [finding for finding in found if finding.id in ids or finding.state == "fail"]
    if args.json:
        report.document({"findings": [asdict(finding) for finding in rows]})
    else:
        for finding in rows:
            print(report.wrapped(f"{finding.state:<5} {finding.message}", 6))
            if finding.next and finding.state != "pass":
                print(report.wrapped(f"next: {finding.next}", 6))
    return FAULT if any(finding.state == "fail" for finding in rows) else 0


def helped(bridge: Bridge, *, json: bool) -> None:
    """What to do first."""
    if json:
        report.document({"name": bridge.name, "bot": bridge.account, "steps": bridge.help()})
        return
    for number, step in enumerate(bridge.help(), 1):
        print(report.wrapped(f"{number}. {step}", 3))
