"""A machine after an install, and the ways to break what the checks look at."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from matrix_baremetal import growth
from matrix_baremetal.commands import doctor as command
from matrix_baremetal.converge import converge
from matrix_baremetal.ddns_run import NOTE
from matrix_baremetal.doctor import examine
from matrix_baremetal.findings import Finding, State
from matrix_baremetal.kernel import Listener
from matrix_baremetal.nameservers import Lookup
from matrix_baremetal.net import Answer
from matrix_baremetal.resources import firstboot
from tests.fake_releases import TOKENS, TOKENS_URL, sha256
from tests.fake_web import OWN, SSO, keys
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

# With each part that has a check of its own.
CALLS = f"calls: {{element_call: true, lk_jwt_service: {{url: {TOKENS_URL}, sha256: {sha256(TOKENS)}}}}}\n"
LED = "bridges: {irc: {enabled: true, owner: alice}, whatsapp: {enabled: true}}"
DDNS = "ddns: {provider: dynu, hostnames: [home.example.org], user: alice, password_file: /root/ddns}\n"
OIDC = f"id: keycloak, name: Ours, issuer: https://{SSO}/realms/main, client_id: matrix"
OIDC = f"oidc: [{{{OIDC}, client_secret_file: /root/oidc}}]\n"
ALL_CALLS = CALLS.replace("{element", "{jitsi: self-hosted, relay: true, element")
BESIDE = f"{ALL_CALLS}{DDNS}{OIDC}turn: {{enabled: true}}\n{LED}\nalerts: {{invite: [alice]}}\n"
SITE = f"{MINIMAL}web_client: {{kind: element}}\n{BESIDE}"
HOME = "example.org"
HOST = "matrix.example.org"
CHAT = "chat.example.org"
RTC = "matrix-rtc.example.org"
MEET = "meet.example.org"
BOSH = f"https://{MEET}/http-bind"
LIVE = f"/etc/letsencrypt/live/matrix-baremetal-{HOME}"
SERVER = f"https://{HOME}/.well-known/matrix/server"
KEY = "/var/lib/matrix-synapse/signing.key"
MB = 1 << 20
Break = Callable[[Machine], object]


def a_machine(folder: Path, text: str = MINIMAL, machine: Machine | None = None) -> Machine:
    """A machine after an install."""
    machine = machine or Machine(folder)
    machine.addressed(*OWN)
    machine.resolved |= {HOST: OWN, RTC: OWN, MEET: OWN}
    machine.put("/proc/meminfo", "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    machine.put("/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal", "#!/bin/sh\n", 0o755)
    machine.at("/etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org").mkdir(parents=True)
    for unit in ("matrix-synapse.service", "postgresql@15-main.service"):
        waited(machine, unit, 0.1)
    backed_up(machine)
    machine.put("/root/ddns", "secret\n", 0o600)
    machine.put("/root/oidc", "of the provider\n", 0o600)
    machine.postgres.accounts["@alice:example.org"] = False
    now = a_session(machine, text)
    now.manifest.server_name = HOME
    list(converge(now.resources, now.host, now.manifest))
    if now.site.config.bridges.whatsapp.enabled:
        machine.put("/var/lib/matrix-bridge-whatsapp/database/bridge.db", "", 0o600)
    if now.site.config.ddns:
        machine.put(NOTE, f'{{"address": "{OWN[0]}"}}')
    now.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    machine.started.clear()
    return machine


def told(**note: object) -> Break:
    """What came of the last run of ddclient."""
    return lambda m: m.put(NOTE, json.dumps({"address": OWN[0], **note}))


def backed_up(machine: Machine, hours: float = 1, **more: object) -> None:
    """There was a backup some hours ago; `more` is what else the note of it says."""
    path = "/var/lib/matrix-baremetal/backups/example.org-20260101T030000Z.tar.zst"
    machine.put(path, "")
    row = {"path": path, "size": MB, "made": int(time.time() - hours * 3600), "id": "0123456789abcdef"}
    machine.put("/var/lib/matrix-baremetal/backup.json", json.dumps({"last": row, **more}))


def waited(machine: Machine, unit: str, part: float) -> None:
    """A unit stood still for want of memory for so much of the last minutes (in percent)."""
    text = "some avg10=0.00 avg60=0.00 avg300={0} total=1\nfull avg10=0.00 avg60=0.00 avg300={0} total=1\n"
    machine.put(f"/sys/fs/cgroup/system.slice/{unit}/memory.pressure", text.format(part))


def grown(path: str, rate: int, days: int = 10, **parts: int) -> Break:
    """A disk, and what is on it, grew by so many bytes each day."""

    def remembered(machine: Machine) -> None:
        today = int(time.time())
        for day in range(days):
            sizes = {name: day * each for name, each in parts.items()}
            growth.remember(FakeHost(machine), growth.Sample(today - (days - day) * 86400, {path: day * rate}, sizes))

    return remembered


def found(machine: Machine, text: str = SITE) -> dict[str, Finding]:
    """All findings by id."""
    now = a_session(machine, text)
    return {finding.id: finding for finding in examine(command.of(now), now.host)}


def web(url: str, **change: object) -> Break:
    """Another answer for a URL."""
    return lambda m: m.internet.answers.update({url: lambda seen: replace(seen, **change)})  # type: ignore[arg-type]


def html(status: int = 200) -> dict[str, object]:
    """What somebody else's web server answers."""
    return {"status": status, "body": b"<html>", "headers": {"content-type": "text/html"}}


def says(sql: str, *row: str) -> Break:
    """Another answer of Postgres."""
    return lambda m: m.postgres.says.update({sql: [list(row)] if row else []})


def record(name: str, kind: str, *values: str, **more: str) -> Break:
    """Other records of a name."""
    given = Lookup(values, more.get("zone", "example.org"), ("ns.example.org",), fault=more.get("fault", ""))
    return lambda m: m.internet.records.update({(name, kind): given})


def listens(port: int, unit: str, address: str) -> Break:
    """Somebody else listens."""
    return lambda m: m.internet.listening.update({port: (Listener(port, 9, "python3", unit, address),)})


def hears(port: int, *units: str) -> Break:
    """Somebody else takes what comes by UDP, or nobody."""
    those = tuple(Listener(port, 9, "python3", unit, "0.0.0.0", "udp") for unit in units)
    return lambda m: m.internet.listening.update({("udp", port): those})


def says_at(url: str, before: bytes, after: bytes) -> Break:
    """Other words in the answers of an address."""
    return lambda m: m.internet.answers.update(
        {url: lambda seen: replace(seen, body=seen.body.replace(before, after))}
    )


def relays(**change: object) -> Break:
    """Another answer of the TURN server."""
    return lambda m: setattr(m.internet, "relayed", lambda asked, seen: replace(seen, **change))


def at_home(router: str, *answers: Break) -> Break:
    """Behind a router that says so of itself; the names lead to 8.8.4.4, and `answers` are what is met there."""

    def moved(machine: Machine) -> None:
        machine.at_home()
        machine.internet.router = router
        for each in (record(HOST, "A", "8.8.4.4"), *answers):
            each(machine)

    return moved


def went_by(part: str, address: str) -> Break:
    """A server for calls was started with another address."""
    return lambda m: m.put(f"/run/matrix-baremetal/{part}/outside", f"a.name {address}\n")


def unit(name: str, **change: object) -> Break:
    """Another state of a unit."""
    return lambda m: vars(m.unit(name)).update(change)


def room(path: str, free: int) -> Break:
    return lambda m: m.spares.update({path: free})


def api(path: str, answer: Answer) -> Break:
    return lambda m: m.internet.synapse.update({path: answer})


def aged(days: float, age: float) -> Break:
    return lambda m: m.certificate(LIVE, [HOME], days, age)


def key_of_somebody_else(machine: Machine) -> None:
    """The key was replaced on the disk while Synapse runs on with the old one."""
    document = json.dumps(keys(machine)).encode()
    machine.internet.answers[f"https://{HOST}:443/_matrix/key/v2/server"] = lambda seen: replace(seen, body=document)
    machine.put(KEY, "ed25519 a_new " + "B" * 43 + "\n", 0o600)


def stale(machine: Machine) -> None:
    """A certificate was renewed and nginx still serves the old one."""
    old = b"the old one"
    machine.internet.answers[f"https://{HOME}/"] = lambda seen: replace(seen, certificate=old)


@dataclass(frozen=True)
class Case:
    """What to break, and the finding that has to come of it."""

    id: str
    broken: Break
    says: str
    state: State = "fail"


def ordered(**state: object) -> Break:
    """A set-up at the first boot was ordered, and its unit is in this state."""

    def order(machine: Machine) -> None:
        machine.put(firstboot.ORDER, "")
        vars(machine.unit(firstboot.UNIT)).update(state)

    return order


def linked(version: str) -> Break:
    """Another version of Synapse is the current one."""

    def link(machine: Machine) -> None:
        place = machine.at("/opt/matrix-baremetal/synapse/current")
        place.unlink()
        place.symlink_to(version)

    return link


def python(version: str) -> Break:
    """The virtualenv is of another Python than Debian's, which is still there."""

    def age(machine: Machine) -> None:
        machine.put(f"/usr/bin/python{version}", "")
        machine.put("/opt/matrix-baremetal/synapse/1.163.2/complete.json", f'{{"pins": "x", "python": "{version}"}}')

    return age


def lost(path: str) -> Break:
    return lambda m: m.at(path).unlink()
