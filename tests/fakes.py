"""A machine to work on that is none: a folder for its files, a model for its programs and its network.

`Machine` is what outlives a run of ours (files, units, databases); `FakeHost` is one run's view of it, which can be
killed before any of its operations. Nothing is patched: a `FakeHost` stands where a `Host` would.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matrix_baremetal import components, config
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error
from matrix_baremetal.facts import Facts
from matrix_baremetal.host import Host, Space
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Result
from matrix_baremetal.site import Site
from tests import fake_releases
from tests.fake_net import FakeNet
from tests.fake_programs import Programs
from tests.fake_shell import FakeShell

FRESH = ".matrix-baremetal-new"
GIB = 1024**3
DEPENDS = ("nginx", "postgresql", "certbot")
DIRECTORIES = (
    "/etc",
    *(f"/etc/apt/{name}" for name in ("keyrings", "preferences.d", "sources.list.d")),
    "/etc/postgresql",
    "/opt",
    "/run/systemd/system",
    "/usr/bin",
    "/usr/sbin",
    "/var/lib/dpkg",
    "/var/log",
)


class Killed(BaseException):
    """Our process is gone. No handler of ours runs after that, so a dead host refuses everything."""


@dataclass(frozen=True)
class Started:
    """A program that was started, and with what."""

    argv: tuple[str, ...]
    input: str | None
    env: Mapping[str, str]


class Machine(Programs):
    """A Debian machine with our package and what it depends on: files, owners, programs, and what it was asked."""

    def __init__(self, root: Path, release: int = 12, packages: Collection[str] = DEPENDS) -> None:
        super().__init__(root, release)
        self.started: list[Started] = []
        self.owners: dict[str, tuple[str, str]] = {}
        for directory in DIRECTORIES:
            (root / directory.lstrip("/")).mkdir(parents=True, exist_ok=True)
        self.put("/etc/os-release", f'PRETTY_NAME="Debian {release}"\nID=debian\nVERSION_ID="{release}"\n')
        self.put("/usr/share/python-wheels/pip-23.0-py3-none-any.whl", "")
        (root / "usr/bin/python3").symlink_to(f"python{self.python}")
        self.put(f"/usr/bin/python{self.python}", "")
        for package in ("python3-venv", *packages):
            self.install(package)

    def addressed(self, *addresses: str) -> None:
        """Have these addresses, as the kernel writes them below /proc/net."""
        four = "".join(
            f"        |-- {a}\n           /32 host LOCAL\n" for a in ("127.0.0.1", *addresses) if ":" not in a
        )
        six = (ipaddress.ip_address(a).exploded.replace(":", "") for a in ("::1", *addresses) if ":" in a)
        self.put("/proc/net/fib_trie", four)
        self.put("/proc/net/if_inet6", "".join(f"{digits} 02 40 00 80 eth0\n" for digits in six))

    def at_home(self, address: str = "192.168.1.9", router: str = "192.168.1.1") -> None:
        """Have a private address, in a network that a router leads out of."""
        self.addressed(address)
        net, way = (
            bytes(reversed(ipaddress.IPv4Address(text).packed)).hex().upper()
            for text in (f"{address.rpartition('.')[0]}.0", router)
        )
        head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        rows = (f"eth0 00000000 {way} 0003 0 0 0 00000000 0 0 0", f"eth0 {net} 00000000 0001 0 0 0 00FFFFFF 0 0 0")
        self.put("/proc/net/route", head + "\n".join(rows) + "\n")

    def start(self, argv: tuple[str, ...], input: str | None, env: dict[str, str]) -> Result:
        """Start a program, and note it."""
        self.started.append(Started(argv, input, env))
        return self.program(argv, input)

    def ran(self, *words: str) -> bool:
        """Whether a program was started whose first words are these."""
        return any(started.argv[: len(words)] == words for started in self.started)

    def changing(self) -> list[tuple[str, ...]]:
        """The programs that were started and do more than look."""
        looks = (
            ("systemctl", "show"),
            ("systemctl", "list-units"),
            ("systemd-detect-virt",),
            ("timedatectl", "show"),
            ("setpriv", "--reuid=matrix-synapse"),
            ("setpriv", "--reuid=matrix-bridge-whatsapp"),
            ("openssl", "x509"),
            ("openssl", "pkey"),
            ("openssl", "verify"),
            ("apt-cache",),
            ("journalctl",),
            ("nginx", "-t"),
            ("nginx", "-T"),
            ("iptables", "-S"),
            ("ip6tables", "-S"),
            ("firewall-cmd", "--info-service=matrix-baremetal"),
            ("firewall-cmd", "--query-service=matrix-baremetal"),
        )
        return [
            s.argv
            for s in self.started
            if not any(s.argv[: len(look)] == look for look in looks) and not (s.input or "").startswith("SELECT")
        ]

    def tree(self) -> dict[str, str]:
        """All that is on the disk, which /run and /proc are not: kind, mode, owner and content by path."""
        found = {}
        for place in sorted(self.root.rglob("*")):
            path = f"/{place.relative_to(self.root)}"
            if f"{path}/".startswith(("/run/", "/proc/")):
                continue
            kind = "->" + str(place.readlink()) if place.is_symlink() else "/" if place.is_dir() else "file"
            text = hashlib.sha256(place.read_bytes()).hexdigest() if kind == "file" else ""
            mode = 0 if kind.startswith("->") else place.stat().st_mode & 0o7777
            found[path] = f"{kind} {mode:04o} {':'.join(self.owners.get(path, ('root', 'root')))} {text}"
        return found


class FakeHost(Host):
    """One run's view of a machine. With `killed_at=N` the run dies at its N-th operation that changes something.

    Operations are counted in `operations`: each change of a file and each program. To be killed before one is to be
    killed after the one before.
    """

    def __init__(self, machine: Machine, killed_at: int | None = None, *, live: bool = True) -> None:
        super().__init__(machine.root, FakeShell(self))
        self.machine = machine
        self.net = FakeNet(machine)
        self.operations = 0
        self._killed_at = killed_at
        self._live = live
        self._dead = False

    @property
    def superuser(self) -> bool:
        """As the machine says."""
        return self.machine.superuser

    @property
    def processor(self) -> str:
        """As the machine says."""
        return self.machine.processor

    def space(self, path: str) -> Space:
        """As the machine says; each file system has 100 GiB and a million files in all."""
        size = self.machine.spares.get(path, self.machine.spare)
        device = 1 + list(self.machine.spares).index(path) if path in self.machine.spares else 0
        return Space(device, size, self.machine.files, 100 << 30, 1_000_000)

    @property
    def live(self) -> bool:
        """A folder that passes for a running system."""
        return self._live

    def path(self, path: str) -> Path:
        """As the machine's own kernel would find it: an absolute link leads to below the root."""
        if self._dead:
            raise Killed
        return self.machine.at(path)

    def step(self) -> None:
        """Count an operation, and die where it is time to."""
        self.operations += 1
        if self._dead or self.operations == self._killed_at:
            self._dead = True
            raise Killed

    def write(self, path: str, data: str | bytes, mode: int, owner: str = "root", group: str = "root") -> None:
        """Write; killed before it, in its middle (see `own`), or on both sides of its rename."""
        self.step()
        super().write(path, data, mode, owner, group)

    def own(self, path: str, owner: str, group: str) -> None:
        """Only say whose it is. Killed here, a fresh file is only half there."""
        self.uid(owner)
        self.gid(group)
        try:
            self.step()
        except Killed:
            if path.endswith(FRESH):
                place = self.machine.at(path)
                place.write_bytes(place.read_bytes()[: place.stat().st_size // 2])
            raise
        self.machine.owners[path] = (owner, group)

    def rename(self, source: str, path: str) -> None:
        """Rename, and what is below keeps its owner."""
        self.step()
        super().rename(source, path)
        for old in [p for p in self.machine.owners if p == source or p.startswith(f"{source}/")]:
            self.machine.owners[path + old.removeprefix(source)] = self.machine.owners.pop(old)
        self.step()

    def mkdir(self, path: str, mode: int, owner: str = "root", group: str = "root") -> None:
        """Make a directory."""
        self.step()
        super().mkdir(path, mode, owner, group)

    def remove(self, path: str) -> None:
        """Remove a file, a link or an empty directory."""
        self.step()
        super().remove(path)

    def remove_tree(self, path: str) -> None:
        """Remove a directory; killed here, only a part of it is gone."""
        try:
            self.step()
        except Killed:
            for victim in sorted(self.machine.at(path).glob("*"))[:1]:
                if victim.is_file():
                    victim.unlink()
            raise
        super().remove_tree(path)

    def displace(self, path: str) -> str | None:
        """Keep a copy."""
        self.step()
        return super().displace(path)

    def uid(self, user: str) -> int:
        """The number of a user that the machine has."""
        if user not in self.machine.users:
            raise Error(f"there is no user {user} on this machine")
        return self.machine.users.index(user)

    def gid(self, group: str) -> int:
        """Groups are users' own."""
        return self.uid(group)

    def _owner(self, path: str, found: object) -> tuple[str, str]:
        return self.machine.owners.get(path, ("root", "root"))


FACTS = Facts(
    release=12,
    architecture="x86_64",
    memory=4 * GIB,
    processors=2,
    python="3.11",
    nginx=(1, 22, 1),
    ipv6=True,
    cluster=Cluster("15", "main", 5432),
)
MINIMAL = "server_name: example.org\nacme: {email: admin@example.org}\n"


def a_site(text: str = MINIMAL, **facts: Any) -> Site:
    """The site that a config means on a machine of Debian 12 with 4 GiB, but for what is said."""
    return Site(config.decode(text, "config.yaml"), replace(FACTS, **facts), fake_releases.versions())


def a_session(machine: Machine, text: str = MINIMAL, *, host: FakeHost | None = None, **facts: Any) -> Session:
    """What a command begins with, on a machine that is none."""
    site, host = a_site(text, **facts), host or FakeHost(machine)
    resources: tuple[Resource, ...] = components.resources(site)
    return Session(host, site, components.needs(site), resources, Manifest.read(host))


def a_homeserver(machine: Machine, text: str = MINIMAL) -> Session:
    """What a command begins with on a machine after an install, where Synapse answers."""
    first = a_session(machine, text)
    list(converge(first.resources, first.host, first.manifest))
    first.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    return a_session(machine, text)
