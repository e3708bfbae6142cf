"""The cases: a folder each, with config.yaml, what is special about the machine (facts.yaml), and what comes of both.

`tree/` holds the files as `render` writes them, `resources.txt` the declaration in its order, with modes and owners.
After a change that is meant: `.venv/bin/python -m tests.golden.update`, then read the diff.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix_baremetal import components, config, facts
from matrix_baremetal.facts import Facts
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.resources import clusters
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.session import Session
from matrix_baremetal.site import Site
from matrix_baremetal.yamlfile import decode
from tests import fake_firewall, fake_firewalld, fake_releases
from tests.fake_postgres import Base
from tests.fakes import GIB, FakeHost, Machine

HERE = Path(__file__).parent
NAMES = tuple(sorted(path.parent.name for path in HERE.glob("*/config.yaml")))


@dataclass(frozen=True)
class Cluster:
    """The machine's Postgres; `shared` says that somebody else's database is in it."""

    port: int = 5432
    shared: bool = False


@dataclass(frozen=True)
class Special:
    """What facts.yaml may say; the rest follows from the release. Memory is in GiB."""

    release: int = 12
    memory: int = 4
    processors: int = 2
    ipv6: bool = True
    cluster: Cluster = field(default_factory=Cluster)


@dataclass(frozen=True)
class Case:
    """One case."""

    name: str

    @property
    def folder(self) -> Path:
        """Where it is."""
        return HERE / self.name

    @property
    def special(self) -> Special:
        """What is special about its machine."""
        file = self.folder / "facts.yaml"
        return decode(file.read_text(), str(file), Special) if file.exists() else Special()

    @property
    def facts(self) -> Facts:
        """All about its machine."""
        special = self.special
        twelve = special.release == 12
        return Facts(
            release=special.release,
            architecture="x86_64",
            memory=special.memory * GIB,
            processors=special.processors,
            python="3.11" if twelve else "3.13",
            nginx=(1, 22, 1) if twelve else (1, 26, 3),
            ipv6=special.ipv6,
            cluster=clusters.Cluster("15" if twelve else "17", "main", special.cluster.port, special.cluster.shared),
        )

    def site(self, seen: Facts) -> Site:
        """Its site on a machine of which this was seen."""
        file = self.folder / "config.yaml"
        return Site(config.load(file), seen, fake_releases.versions())

    def machine(self, root: Path) -> Machine:
        """Its machine, below `root`."""
        machine = Machine(root, self.special.release)
        if self.special.cluster.shared:
            machine.postgres.bases["shop"] = Base("postgres", tables=9)
        assert self.facts.cluster
        place = f"/etc/postgresql/{self.facts.cluster.version}/main/postgresql.conf"
        machine.put(place, f"port = {self.special.cluster.port}\n")
        machine.put("/etc/bob.password", "correct horse battery staple, correct horse\n", 0o600)
        machine.put("/etc/matrix-baremetal/telegram-hash", "0123456789abcdef0123456789abcdef\n", 0o600)
        machine.put("/etc/matrix-baremetal/mail.password", 'of "mail": yes\n', 0o600)
        machine.put("/etc/matrix-baremetal/ddns.password", "of dns\n", 0o600)
        machine.put("/etc/matrix-baremetal/oidc-keycloak", "of the provider\n", 0o600)
        machine.put("/etc/matrix-baremetal/oidc-google", "of the other\n", 0o600)
        machine.put("/etc/matrix-baremetal/ldap.password", "of ldap\n", 0o600)
        machine.downloads["https://mirror.example.net/hydrogen-web-0.5.1.tar.gz"] = fake_releases.STAND_INS[
            "hydrogen"
        ]
        machine.downloads[fake_releases.TOKENS_URL] = fake_releases.TOKENS
        if "firewall: ufw" in (self.folder / "config.yaml").read_text():
            fake_firewall.ufw(machine)
        if "firewall: firewalld" in (self.folder / "config.yaml").read_text():
            fake_firewalld.firewalld(machine)
        machine.lasting("/srv/tls", ["example.org", "*.example.org"])
        return machine

    def session(self, host: FakeHost) -> Session:
        """What a run begins with: the facts are read anew, but for those of the hardware."""
        wanted = self.facts
        seen = facts.read(host)
        seen = replace(seen, architecture="x86_64", memory=wanted.memory, processors=wanted.processors)
        site = self.site(replace(seen, ipv6=wanted.ipv6))
        manifest = Manifest.read(host)
        manifest.server_name = site.config.server_name
        return Session(host, site, components.needs(site), components.resources(site), manifest)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """Its declaration."""
        return components.resources(self.site(self.facts))

    @property
    def listing(self) -> str:
        """The declaration for a person, a line each."""
        return "".join(line(resource) + "\n" for resource in self.resources)


def line(resource: Resource) -> str:
    """One resource: its kind and name, and whose it is where it is on disk."""
    mode, owner = getattr(resource, "mode", None), getattr(resource, "owner", "")
    group = getattr(resource, "group", "")
    return " ".join((*resource.key, *((f"{mode:04o}", f"{owner}:{group}") if mode is not None else ())))
