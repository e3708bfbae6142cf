"""doctor: every check, the worst first, each with what to do next."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from matrix_baremetal import alert, components, config, doctor, preflight, report, session
from matrix_baremetal.checks import declared, explanations
from matrix_baremetal.checks.check import Check, documented
from matrix_baremetal.checks.together import together
from matrix_baremetal.commands import doctor_bundle, doctor_changes, doctor_fix, doctor_probe
from matrix_baremetal.errors import DIFFERS, ConfigError, Error
from matrix_baremetal.findings import Finding, counted
from matrix_baremetal.findings_page import page
from matrix_baremetal.host import Host
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.session import Session
from matrix_baremetal.site import Site

PACKED = (
    "For somebody who helps you, without passwords, keys and tokens, but with names and addresses of people; look "
    "into it before you send it:"
)


@dataclass(frozen=True)
class Readable(Check):
    """The config: without it nothing can be said but what is known from before."""

    form = "config"
    asks = "the config can be read and has no mistakes"
    depth = 0

    error: Error | None = field(default=None, repr=False)

    def look(self, host: Host) -> Finding:
        if self.error is None:
            return self.fine("the config has no mistakes")
        first, *others = self.error.message.splitlines()
        if isinstance(self.error, ConfigError):
            first, others = "the config has mistakes", [first, *others]
        return self.failed(first.rstrip("."), *others, next=self.error.hint or "matrix-baremetal plan")


@dataclass(frozen=True)
class Installed(Check):
    """Whether anything has been made here at all."""

    form = "installed"
    asks = "something has been installed here"
    depth = 0

    def look(self, host: Host) -> Finding:
        if Manifest.read(host).server_name:
            return self.fine("it is installed")
        return self.failed("nothing is installed here yet", next="matrix-baremetal install")


@dataclass(frozen=True)
class Credentials(Check):
    """What a DNS plugin of certbot logs in with: an install asks for it, and renewals need it for good."""

    form = "certificates.credentials"
    asks = "the credentials of certbot's DNS plugin are there, for root alone"

    site: Site = field(repr=False)

    def look(self, host: Host) -> Finding:
        for obstacle in preflight.dns_credentials(self.site, host):
            return self.failed(obstacle.message, next=obstacle.hint)
        return self.fine("the credentials of the DNS plugin are in place")


def run(args: Namespace) -> int:
    """Ask, and print; 3 where something is at fault. A warning alone is none."""
    began, host = time.monotonic(), Host(Path(args.root))
    if not host.live:
        raise Error("doctor looks at a machine that runs, and --root names a folder", hint="matrix-baremetal plan")
    if not host.superuser:
        raise Error("doctor asks what only root may know", hint="sudo matrix-baremetal doctor")
    name, checks, now = gathered(host, args)
    if args.probe_from and now:
        checks = (*checks, *doctor_probe.checks(now, args.probe_from))
    checks = doctor.chosen(checks, args.ids)
    if args.list:
        return listed(checks, json=args.json)
    if args.explain:
        return explained(checks, json=args.json)
    if args.changes:
        return changed(host, name, checks, now, args)
    if args.probe_from:
        checks = doctor_probe.asked(checks, host, args.probe_from)
    findings = doctor.examine(together(checks, host), host)
    if args.fix:
        findings = doctor_fix.mended(host, checks, findings, args)
    place = doctor_bundle.write(host, name, findings, now, args) if args.bundle else None
    told(name, findings, time.monotonic() - began, args, place)
    return status(findings)


def status(findings: Sequence[Finding]) -> int:
    """3 where something is at fault."""
    return DIFFERS if any(finding.state == "fail" for finding in findings) else 0


def changed(host: Host, name: str, checks: Sequence[Check], now: Session | None, args: Namespace) -> int:
    """The look of each day."""
    doctor_changes.waited(host, args.wait)
    began = time.monotonic()
    config = now.site.config if now else None
    alerts = alert.wanted(host, config)
    findings, news = doctor_changes.look(host, checks, some=bool(args.ids), alerts=alerts)
    if now is not None and not args.ids:
        doctor_changes.remember(now, checks)
    sent = alert.told(host, name, config) if alerts else None
    doctor_changes.say(name, findings, news, time.monotonic() - began, args, sent)
    return status(findings)


def gathered(host: Host, args: Namespace) -> tuple[str, tuple[Check, ...], Session | None]:
    """The name of the site, and what is to be asked: less before an install, or with a config that can't be read."""
    try:
        now = session.begin(args.root, args.config)
    except (ConfigError, config.Unusable) as error:
        manifest = Manifest.read(host)
        return manifest.server_name or "this machine", (Readable(error), *remembered(manifest)), None
    return now.site.config.server_name, of(now), now


def of(now: Session) -> tuple[Check, ...]:
    """What is to be asked of a site; before an install, what makes sense then."""
    more = (Credentials(now.site),) if now.site.config.acme.dns_plugin else ()
    checks = (Readable(), Installed(), *components.checks(now.site), *more)
    return checks if now.manifest.server_name else tuple(check for check in checks if check.depth == 0)


def remembered(manifest: Manifest) -> tuple[Check, ...]:
    """What can be asked without a config: the services that were made before."""
    services: list[Resource] = [Service(name) for name in manifest.named(Service.__name__)]
    if not services:
        return (Installed(),)
    return tuple(check for check in declared.checks(services, Needs(())) if isinstance(check, declared.Runs))


def listed(checks: Sequence[Check], *, json: bool) -> int:
    """The ids, with what each finds out."""
    if json:
        report.document({"checks": [{"id": check.id, "asks": check.asks} for check in checks]})
    else:
        print(report.table([(check.id, f"whether {check.asks}") for check in checks]))
    return 0


def explained(checks: Sequence[Check], *, json: bool) -> int:
    """What they mean and what to do, each kind once."""
    texts = explanations.read()
    kinds = dict.fromkeys(type(check) for check in checks)
    rows = [(documented(kind), kind.asks, *texts[documented(kind)]) for kind in kinds]
    if json:
        keys = ("id", "asks", "means", "do")
        report.document({"checks": [dict(zip(keys, row, strict=True)) for row in rows]})
        return 0
    for number, (form, asks, means, todo) in enumerate(rows):
        print(("\n" if number else "") + report.coloured(form, "bold"))
        for text in (f"Asks whether {asks}.", means, f"To do: {todo}"):
            print(report.wrapped(f"  {text}", 2))
    return 0


def told(name: str, findings: Sequence[Finding], seconds: float, args: Namespace, bundle: Path | None = None) -> None:
    """Print the page, or the document."""
    if args.json:
        rows = [asdict(finding) for finding in findings]
        counts = counted(findings)
        more = {"bundle": str(bundle)} if bundle else {}
        head = {"server_name": name, "seconds": round(seconds, 3), "counts": counts}
        report.document({**head, "findings": rows, **more})
        return
    for line in page(name, findings, seconds, verbose=args.verbose, quiet=args.quiet):
        print(line)
    if bundle:
        print(report.wrapped(f"\n{PACKED} {bundle}"))
