"""The ways to break what the checks look at, and the finding that has to come of each."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from matrix_baremetal.checks import database
from matrix_baremetal.commands import doctor as command
from matrix_baremetal.converge import converge
from matrix_baremetal.doctor import examine
from matrix_baremetal.findings import Finding, State
from matrix_baremetal.kernel import Listener
from matrix_baremetal.nameservers import Lookup
from matrix_baremetal.net import Answer
from matrix_baremetal.resources import firstboot
from matrix_baremetal.resources.postgres import COUNT_CONNECTIONS
from matrix_baremetal.resources.postgres_store import SIZE
from tests.fake_units import Unit
from tests.fake_web import OWN, keys
from tests.fakes import MINIMAL, Machine, a_session

HOME = "example.org"
HOST = "matrix.example.org"
LIVE = f"/etc/letsencrypt/live/matrix-baremetal-{HOME}"
SERVER = f"https://{HOME}/.well-known/matrix/server"
KEY = "/var/lib/matrix-synapse/signing.key"
MB = 1 << 20
Break = Callable[[Machine], object]


def a_machine(folder: Path, text: str = MINIMAL, machine: Machine | None = None) -> Machine:
    """A machine after an install."""
    machine = machine or Machine(folder)
    machine.addressed(*OWN)
    machine.put("/proc/meminfo", "MemTotal: 4000000 kB\nMemAvailable: 3000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    machine.put("/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal", "#!/bin/sh\n", 0o755)
    machine.at("/etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org").mkdir(parents=True)
    backed_up(machine)
    now = a_session(machine, text)
    now.manifest.server_name = HOME
    list(converge(now.resources, now.host, now.manifest))
    now.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    machine.started.clear()
    return machine


def backed_up(machine: Machine, hours: float = 1, **more: object) -> None:
    """There was a backup some hours ago; `more` is what else the note of it says."""
    path = "/var/lib/matrix-baremetal/backups/example.org-20260101T030000Z.tar.zst"
    machine.put(path, "")
    row = {"path": path, "size": MB, "made": int(time.time() - hours * 3600), "id": "0123456789abcdef"}
    machine.put("/var/lib/matrix-baremetal/backup.json", json.dumps({"last": row, **more}))


def found(machine: Machine, text: str = MINIMAL) -> dict[str, Finding]:
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


def lost(path: str) -> Break:
    return lambda m: m.at(path).unlink()


CASES = (
    Case("installed", lost("/var/lib/matrix-baremetal/manifest.json"), "nothing is installed"),
    Case("units.nginx", unit("nginx.service", active=False), "nginx.service is inactive"),
    Case("units.nginx", unit("nginx.service", restarts=9), "was restarted 9 times", "warn"),
    Case("current.matrix-synapse", unit("matrix-synapse.service", outdated=True), "has not taken up what it reads"),
    Case("units.matrix-synapse", unit("matrix-synapse.service", enabled=False), "a boot would not start it"),
    Case("units.certbot.timer", lambda m: m.units.pop("certbot.timer"), "is not on this machine"),
    Case("units.others", lambda m: m.failed.append("fwupd.service"), "another unit has failed", "info"),
    Case(
        "drift", lambda m: m.put("/etc/matrix-synapse/log.yaml", "version: 2\n"), "1 thing is not as the config says"
    ),
    Case("drift", lambda m: m.at("/etc/matrix-synapse").chmod(0o700), "1 thing is not as the config says"),
    Case("drift", lost(KEY), "1 thing is not as the config says"),
    Case("drop-ins", lambda m: m.put("/etc/matrix-synapse/conf.d/a.yaml", ""), "1 file of an administrator", "info"),
    Case("ports.443", listens(443, "caddy.service", "::"), "held by another than nginx.service"),
    Case("ports.8008", lambda m: m.internet.listening.update({8008: ()}), "nothing listens on port 8008"),
    Case("exposure.8008", listens(8008, "matrix-synapse.service", "0.0.0.0"), "port 8008 is open to others"),
    Case("exposure.5432", listens(5432, "postgresql@15-main.service", "::"), "port 5432 is open to others"),
    Case("disk.media", room("/var/lib/matrix-synapse/media", 9 * MB), "the disk is full"),
    Case("disk.database", room("/var/lib/postgresql/15/main", 700 * MB), "nearly full", "warn"),
    Case("inodes.system", lambda m: setattr(m, "files", 12), "no inodes left"),
    Case("inodes.media", lambda m: setattr(m, "files", 30000), "nearly out of inodes", "warn"),
    Case(
        "memory.available",
        lambda m: m.put("/proc/meminfo", "MemTotal: 999 kB\nMemAvailable: 9 kB\n"),
        "runs out",
        "warn",
    ),
    Case(
        "memory.killed",
        lambda m: setattr(m, "out_of_memory", "killed by the OOM killer\n"),
        "killed a process",
        "warn",
    ),
    Case("clock.synchronised", lambda m: setattr(m, "synchronised", "no"), "nothing synchronises", "warn"),
    Case("clock.right", lambda m: setattr(m.internet, "ahead", 86400.0), "the clock is wrong"),
    Case("clock.right", lambda m: setattr(m.internet, "ahead", -60.0), "the clock goes astray", "warn"),
    Case("network.addresses", lambda m: m.addressed(), "no address but loopback"),
    Case("network.addresses", lambda m: m.addressed("100.64.1.9"), "CGNAT", "warn"),
    Case("network.addresses", lambda m: m.addressed("192.168.1.9"), "behind a router", "info"),
    Case("dns.resolver", lambda m: setattr(m.internet, "silent", True), "can't look up any name"),
    Case(f"dns.a.{HOST}", record(HOST, "A", "198.51.100.1"), "leads to 198.51.100.1, which is not this machine"),
    Case(f"dns.a.{HOST}", record(HOST, "A", "203.0.113.7", "198.51.100.1"), "which is not this machine"),
    Case(f"dns.a.{HOST}", record(HOST, "A", "104.16.1.1"), "Cloudflare", "warn"),
    Case(f"dns.a.{HOST}", record(HOST, "A", "100.70.1.1"), "inside of a provider's network"),
    Case(f"dns.a.{HOST}", record(HOST, "A"), "has no A record, and many have no IPv6", "warn"),
    Case(f"dns.a.{HOST}", record(HOST, "A", fault="ns.example.org can't say"), "can't be looked up"),
    Case(f"dns.a.{HOME}", record(HOME, "A", "198.51.100.1"), "another machine answers for example.org", "info"),
    Case(f"dns.aaaa.{HOST}", record(HOST, "AAAA", "2001:db8::1"), "who has IPv6 does not get here"),
    Case(f"dns.cname.{HOME}", record(HOME, "CNAME", "elsewhere.net"), "the top of its zone and a CNAME"),
    Case(f"dns.caa.{HOST}", record(HOME, "CAA", '0 issue "other.example"'), "forbids letsencrypt.org"),
    Case("database.reachable", lambda m: m.says.update({"setpriv": "the server is starting up"}), "does not answer"),
    Case(
        "database.collation",
        lambda m: setattr(m.postgres.bases["matrix-synapse"], "collate", "de_DE"),
        "not as Synapse",
    ),
    Case("database.collation", lambda m: m.postgres.roles.pop("matrix-synapse"), "not as Synapse"),
    Case("database.version", says(database.VERSION, "140001"), "Synapse needs 15"),
    Case("database.connections", says(COUNT_CONNECTIONS, "100", "3", "97"), "out of connections"),
    Case("database.connections", says(COUNT_CONNECTIONS, "100", "3", "90"), "may run out", "warn"),
    Case("database.writable.matrix-synapse", says(database.WRITABLE, "f", "on"), "read-only"),
    Case("database.writable.matrix-synapse", says(database.WRITABLE, "t", "off"), "standby"),
    Case("database.settings", says(database.SETTINGS, "/etc/p.conf", "3", "work_mem", "invalid"), "does not accept"),
    Case("database.size.matrix-synapse", says(SIZE, str(200 << 30)), "would not fit", "warn"),
    Case("synapse.background-updates", says(database.UPDATES, "receipts_index"), "1 background update is", "info"),
    Case("federation.destinations", says(database.DESTINATIONS, "9", "2"), "2 of 9", "info"),
    Case("federation.destinations", says(database.DESTINATIONS, "9", "9"), "9 of 9", "warn"),
    Case("synapse.ready", lambda m: setattr(m.internet, "unready", True), "the homeserver does not answer"),
    Case("web.server", web(f"http://{HOST}/", status=0, fault="no answer within 1.5 s"), "does not answer"),
    Case(
        "synapse.version",
        api("/_synapse/admin/v1/server_version", Answer(200, {"server_version": "1.150.0"})),
        "holes",
    ),
    Case(
        "synapse.version",
        api("/_synapse/admin/v1/server_version", Answer(200, {"server_version": "1.163.0"})),
        "runs",
        "warn",
    ),
    Case("firstboot.done", ordered(), "at its next boot"),
    Case("firstboot.done", ordered(active=True), "is being set up"),
    Case("firstboot.done", ordered(result="exit-code"), "setting this machine up failed"),
    Case("synapse.media", lambda m: m.unwritable.add("/var/lib/matrix-synapse/media"), "can't write"),
    Case("synapse.signing-key", lambda m: m.put(KEY, "nonsense\n", 0o600), "can't be used"),
    Case("synapse.signing-key", lost(KEY), "is gone"),
    Case("synapse.secrets", lambda m: m.put("/etc/matrix-baremetal/secrets/form_secret", "changeme", 0o600), "short"),
    Case(
        "synapse.registration",
        api("/_matrix/client/v3/register", Answer(401, {"flows": [{"stages": ["m.login.dummy"]}]})),
        "anybody can make accounts",
    ),
    Case(
        "synapse.registration",
        api("/_matrix/client/v3/register", Answer(401, {"flows": [{"stages": ["m.login.registration_token"]}]})),
        "through a gate",
        "info",
    ),
    Case("synapse.clients", api("/_matrix/client/versions", Answer(200, {"versions": []})), "Element X", "warn"),
    Case("synapse.clients", api("/_matrix/client/v3/login", Answer(200, {"flows": []})), "log in", "warn"),
    Case(f"certificates.{HOME}", aged(12, 78), "is overdue", "warn"),
    Case(f"certificates.{HOME}", aged(3, 87), "is overdue"),
    Case(f"certificates.{HOME}", aged(8, 37), "is overdue", "warn"),
    Case(f"certificates.{HOME}", aged(-1, 91), "is expired"),
    Case(f"certificates.{HOME}", aged(90, -1), "the clock of this machine is wrong"),
    Case(
        f"certificates.{HOME}",
        lambda m: m.put(f"/var/lib/matrix-baremetal/pending/{HOME}", '{"reason": "no DNS"}'),
        "is pending: no DNS",
    ),
    Case(f"certificates.chain.{HOME}", lambda m: m.certificate(LIVE, ["other.org"]), "does not hold"),
    Case(f"certificates.key.{HOME}", lambda m: m.put(f"{LIVE}/privkey.pem", "another"), "does not belong to its key"),
    Case(
        "certificates.renewal",
        lambda m: m.units.update({"certbot.service": Unit(result="exit-code")}),
        "the last renewal failed",
        "warn",
    ),
    Case("certificates.hook", lost("/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal"), "would not be served"),
    Case(
        "certificates.account",
        lambda m: m.at("/etc/letsencrypt/accounts/acme-v02.api.letsencrypt.org").rmdir(),
        "no account",
        "warn",
    ),
    Case("backup.age", lambda m: backed_up(m, 75), "the last backup is 3 days old", "warn"),
    Case("backup.age", lambda m: backed_up(m, failed={"at": 1, "why": "no room"}), "failed: no room", "warn"),
    Case("backup.age", lambda m: m.at("/var/lib/matrix-baremetal/backup.json").unlink(), "no backup yet", "warn"),
    Case(f"tls.{HOME}:443", stale, "serves another certificate than the one on the disk"),
    Case(f"tls.{HOME}:443", web(f"https://{HOME}/", untrusted="unable to get local issuer"), "nobody trusts"),
    Case(f"tls.{HOME}:443", web(f"https://{HOME}/", certificate=b"", fault="no TLS"), "speaks no TLS"),
    Case(f"web.redirect.{HOST}", web(f"http://{HOST}/doctor?a=%2Fb", **html()), "does not lead to https"),
    Case(f"web.acme.{HOST}", web(f"http://{HOST}/.well-known/acme*", **html(301)), "renewals will fail"),
    Case(f"web.https.{HOST}", web(f"https://{HOST}/", status=502), "does not answer"),
    Case(f"web.headers.{HOST}", web(f"https://{HOST}/", headers={}), "lacks security headers", "warn"),
    Case(f"web.http2.{HOST}", web(f"https://{HOST}/", protocol="http/1.1"), "speaks no HTTP/2", "warn"),
    Case("web.upload", web(f"https://{HOST}/_matrix/media/v3/upload", status=413), "below the limit are refused"),
    Case("web.upload", web(f"https://{HOST}/_matrix/media/v3/upload", status=100), "beyond the limit", "warn"),
    Case("web.uri", web(f"https://{HOST}/_matrix/client/v3/directory*", body=b"M_UNRECOGNIZED"), "unchanged"),
    Case(f"exposure.admin.{HOST}", web(f"https://{HOST}/_synapse/admin*", status=200), "answer others"),
    Case(
        f"exposure.around.{HOST}",
        web(f"https://{HOST}/_synapse/admin/x/*", headers={"content-type": "application/json"}),
        "another spelling",
    ),
    Case(
        f"reach.ipv6.{HOST}", web(f"https://{HOST}/", status=0, fault="nothing listens there"), "at its own address"
    ),
    Case("well-known.server", web(SERVER, body=b'{"m.server": "old.example.org:443"}'), "is not as it should be"),
    Case("well-known.server", web(SERVER, headers={"content-type": "application/json"}), "is not as it should be"),
    Case("well-known.server", web(SERVER, **html(404)), "is not there"),
    Case("well-known.server", web(SERVER, fault="nothing listens there"), "does not answer"),
    Case(
        "federation.discovery",
        web(SERVER, body=b'{"m.server": "old.example.org:443"}'),
        "in the wrong place",
    ),
    Case("federation.discovery", web(SERVER, **html()), "in the wrong place"),
    Case("federation.tls", web(f"https://{HOST}:443/*", untrusted="certificate has expired"), "don't trust"),
    Case("federation.version", web(f"https://{HOST}:443/*", **html()), "does not answer"),
    Case("federation.key", web(f"https://{HOST}:443/_matrix/key*", **html()), "would not believe"),
    Case("federation.key", key_of_somebody_else, "is not the one in"),
)
