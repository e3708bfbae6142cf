"""One resource of each kind with a machine for it, for what all kinds promise (tests/unit/test_contract.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matrix_baremetal.net import Answer
from matrix_baremetal.resources import files, masks
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.alert_room import TOKEN, AlertRoom
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.distrusted import PLACE, Distrusted
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.resources.elsewhere import NOTES
from matrix_baremetal.resources.files import Directory, File, Link, Scratch, Secret
from matrix_baremetal.resources.filled import Filled, SecretCopy
from matrix_baremetal.resources.firewall import NAME
from matrix_baremetal.resources.firewalld import SERVICE, FirewalldService
from matrix_baremetal.resources.key_pair import KeyPair
from matrix_baremetal.resources.matrix import Account, Homeserver, HomeserverConfig
from matrix_baremetal.resources.monitor import Monitor
from matrix_baremetal.resources.opening import NEWEST, OPENED, UNATTENDED, Opening
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.postgres import OURS, Database, Role
from matrix_baremetal.resources.postgres_store import PostgresStore
from matrix_baremetal.resources.python import Virtualenv
from matrix_baremetal.resources.qr_code import QrCode
from matrix_baremetal.resources.registrations import Registration
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.schema import Schema
from matrix_baremetal.resources.served import SelfSigned, Served
from matrix_baremetal.resources.services import Service
from matrix_baremetal.resources.ufw import PROFILE, UfwRule
from matrix_baremetal.resources.vendor import AptKey, VendorPackages
from tests import fake_firewall, fake_firewalld
from tests.fake_postgres import Base
from tests.fake_releases import APT_KEY, FINGERPRINT, archive, sha256
from tests.fakes import Machine

SECRET = "hunter2-hunter2"
STORE = PostgresStore("matrix-synapse", Cluster("15", "main", 5432))
TLS = "/etc/matrix-baremetal/tls/example.org"
RELEASE = archive({"index.html": b"<html>"})
THERE = (("/a", '{"b": 1}'),)


def nothing(machine: Machine) -> None:
    """A machine as it is needs nothing more."""


def synapse_runs(machine: Machine) -> None:
    """Synapse runs, with its database and its secret."""
    machine.unit("matrix-synapse.service").start()
    machine.postgres.roles["matrix-synapse"] = ""
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse")
    machine.put("/etc/matrix-baremetal/secrets/registration_shared_secret", SECRET, 0o600)
    machine.put("/password", f"{SECRET}\n", 0o600)
    machine.asked = 1


def people(machine: Machine) -> None:
    """Synapse runs, and somebody has an account."""
    synapse_runs(machine)
    machine.postgres.accounts["@alice:example.org"] = True
    machine.at("/var/lib/matrix-baremetal").mkdir()


def half_made(machine: Machine) -> None:
    """Synapse was cut off while it made its tables."""
    synapse_runs(machine)
    machine.unit("matrix-synapse.service").active = False
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse", comment=OURS, tables=7)


def visited(machine: Machine) -> None:
    """Registration has closed for want of an administrator, and one has come since."""
    machine.put(UNATTENDED, "2026-01-01 00:00:00 UTC\n")
    machine.postgres.says[NEWEST] = [["1770000000000"]]


def bare(machine: Machine) -> None:
    """The directories of the certificates, which other resources make."""
    machine.at(TLS).mkdir(parents=True)
    machine.at("/var/lib/matrix-baremetal").mkdir()


def pair(machine: Machine) -> None:
    """A self-signed pair and a real one, with nothing served yet."""
    machine.certificate(f"{TLS}/self-signed", ["example.org"])
    machine.certificate("/etc/letsencrypt/live/ours", ["example.org"])


def own_pair(machine: Machine) -> None:
    """A pair of the operator's."""
    bare(machine)
    machine.lasting("/srv/own", ["example.org"])


@dataclass(frozen=True)
class Example:
    """A resource, what has to be there before it, and how its state may drift (None: it can't or must not).

    `stays` says that undo takes nothing away: it is data, or not ours alone.
    """

    resource: Resource
    before: Callable[[Machine], None] = nothing
    drift: Callable[[Machine], object] | None = None
    stays: bool = False
    packages: tuple[str, ...] = ("nginx", "postgresql")


def guarded(machine: Machine) -> None:
    """A ufw, and a profile of ours."""
    fake_firewall.ufw(machine)
    machine.put(PROFILE, f"[{NAME}]\nports=80,443/tcp\n")


def by_zones(machine: Machine) -> None:
    """A firewalld, and a service of ours."""
    fake_firewalld.firewalld(machine)
    port = "<port protocol='tcp' port='{}'/>"
    machine.put(SERVICE, f"<service>{port.format(80)}{port.format(443)}</service>")


def user(machine: Machine) -> None:
    """Our system user."""
    machine.users.append("matrix-synapse")


def believed(machine: Machine) -> None:
    """A package has the machine believe its certificate."""
    machine.put(f"{PLACE}/auth.example.org.crt", "certificate")


def point(link: Path, target: str) -> None:
    """Point a link elsewhere."""
    link.unlink()
    link.symlink_to(target)


EXAMPLES = (
    Example(File("/etc/a", "b\n", 0o640), drift=lambda m: m.put("/etc/a", "c")),
    Example(
        files.TestedFile("/etc/nginx/conf.d/a.conf", "b\n", test=("nginx", "-t")),
        drift=lambda m: m.put("/etc/nginx/conf.d/a.conf", "c"),
    ),
    Example(
        HomeserverConfig(
            "/etc/h.yaml", "server_name: a\n", 0o640, group="matrix-synapse", unit="u.service", python="p"
        ),
        before=user,
        drift=lambda m: m.put("/etc/h.yaml", "server_name: b"),
    ),
    Example(
        QrCode("/etc/q.svg", "https://example.org/?a=1&b=2"),
        drift=lambda m: m.put("/etc/q.svg", m.at("/etc/q.svg").read_text().replace("M4 4", "M5 4")),
    ),
    Example(Filled("/f", "@1", secrets=(("@1", "/password"),)), synapse_runs, lambda m: m.put("/f", "a: b")),
    Example(SecretCopy("/f", "/password"), synapse_runs, lambda m: m.put("/f", "another")),
    Example(Link("/etc/l", "target"), drift=lambda m: point(m.at("/etc/l"), "x")),
    Example(Directory("/etc/d/e", 0o750), drift=lambda m: m.at("/etc/d/e").chmod(0o777)),
    Example(Scratch("/etc/x/y", 0o700), drift=lambda m: m.at("/etc/x/y").chmod(0o777)),
    Example(Secret("/etc/s", invent=lambda: SECRET), drift=lambda m: m.at("/etc/s").chmod(0o644), stays=True),
    Example(
        Registration("/etc/r.yaml", '{"as_token": "{as_token}"}', ("/password-as_token",)),
        before=lambda m: m.put("/password-as_token", SECRET, 0o600),
        drift=lambda m: m.put("/etc/r.yaml", "{}"),
    ),
    Example(
        UfwRule("matrix-baremetal", ("80/tcp", "443/tcp")),
        guarded,
        lambda m: m.more["ufw"](("delete", "allow", NAME)),
    ),
    Example(
        FirewalldService(NAME, ("80/tcp", "443/tcp")),
        by_zones,
        lambda m: m.more["firewall-cmd"](("--permanent", "--zone=public", f"--remove-service={NAME}")),
    ),
    Example(masks.Mask("coturn.service"), drift=lambda m: m.at(f"{masks.PLACE}/coturn.service").unlink()),
    Example(Monitor("matrix-metrics"), drift=lambda m: m.postgres.monitors.clear()),
    Example(Packages("tests", ("certbot", "nginx")), stays=True),
    Example(
        VendorPackages("jitsi", ("prosody", "jicofo"), answers=(("jicofo", "jicofo/a", "string", "b"),)),
        drift=lambda m: m.apt_get(("purge", "jicofo")),
    ),
    Example(
        AptKey("/etc/apt/keyrings/a.asc", FINGERPRINT, url="https://releases.test/key"),
        before=lambda m: m.downloads.update({"https://releases.test/key": APT_KEY}),
        drift=lambda m: m.put("/etc/apt/keyrings/a.asc", "another"),
    ),
    Example(
        Distrusted("auth.example.org"),
        before=believed,
        drift=believed,
        stays=True,
    ),
    Example(Opening(OPENED, 14, store=STORE), before=synapse_runs, drift=visited),
    Example(SystemUser("matrix-synapse"), stays=True),
    Example(Role("matrix-synapse"), stays=True),
    Example(
        Database("matrix-synapse", owner="matrix-synapse"),
        before=lambda m: m.postgres.roles.update({"matrix-synapse": ""}),
        stays=True,
    ),
    Example(Schema("matrix-synapse", store=STORE, unit="matrix-synapse.service"), before=half_made, stays=True),
    Example(
        Virtualenv("/opt/v/1", pins="abc", python="3.11", requirements="a==1", uv="uv==1"),
        drift=lambda m: m.at("/opt/v/1/complete.json").unlink(),
    ),
    Example(
        Download("/opt/d", "1.0", sha256(RELEASE), url="https://releases.test/d.tar.gz"),
        before=lambda m: m.downloads.update({"https://releases.test/d.tar.gz": RELEASE}),
        drift=lambda m: m.at("/opt/d/1.0/complete.json").unlink(),
    ),
    Example(
        Service("matrix-synapse.service", reads=("/etc/os-release",)),
        drift=lambda m: setattr(m.unit("matrix-synapse.service"), "active", False),
    ),
    Example(
        SelfSigned(TLS, "example.org"), before=bare, drift=lambda m: m.at(f"{TLS}/self-signed/privkey.pem").unlink()
    ),
    Example(
        Served(f"{TLS}/current", pair="/etc/letsencrypt/live/ours"),
        before=pair,
        drift=lambda m: point(m.at(f"{TLS}/current"), "self-signed"),
        stays=True,
    ),
    Example(
        KeyPair(TLS, "/srv/own/fullchain.pem", "/srv/own/privkey.pem"),
        before=own_pair,
        drift=lambda m: m.certificate("/srv/own", ["example.org"], 30, key="key of another"),
    ),
    Example(
        Certificate("example.org", "https://ca.example/dir", webroot="/srv", email="a@example.org"),
        drift=lambda m: m.certificate("/etc/letsencrypt/live/matrix-baremetal-example.org", ["example.org"], -1),
        packages=("certbot",),
    ),
    Example(
        Certificate("example.org", "https://ca.example/dir", webroot="/srv", elsewhere=THERE),
        before=lambda m: m.pages.update({"https://example.org/a": Answer(200, {"b": 1, "c": 2})}),
        drift=lambda m: m.at(f"{NOTES}/example.org").unlink(),
        packages=("certbot",),
    ),
    Example(Homeserver("example.org"), before=synapse_runs, drift=lambda m: setattr(m, "asked", 0), stays=True),
    Example(
        Account(
            "@alice:example.org",
            True,
            store=STORE,
            secret_file="/etc/matrix-baremetal/secrets/registration_shared_secret",
            password_file="/password",
        ),
        before=synapse_runs,
        stays=True,
    ),
    Example(
        AlertRoom("@bot:example.org", ("@alice:example.org",), store=STORE),
        before=people,
        drift=lambda m: m.at(TOKEN).unlink(),
    ),
    Example(Account("@alice:a.b", True, store=STORE, password_hash=f"$2b$12${SECRET}"), synapse_runs, stays=True),
)
