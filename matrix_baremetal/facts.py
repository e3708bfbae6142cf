"""What this machine is. Read once from the host and handed to the site, so that components stay pure."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, replace

from matrix_baremetal import kernel
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.net import public
from matrix_baremetal.resources.packages import installed
from matrix_baremetal.resources.postgres import query


@dataclass(frozen=True)
class Cluster:
    """A Postgres cluster of Debian's (pg_lsclusters).

    `shared` says that databases of others live in it, `tuned` that our settings are in it already.
    """

    version: str
    name: str
    port: int
    shared: bool = False
    tuned: bool = False

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return f"postgresql@{self.version}-{self.name}.service"

    @property
    def drop_in(self) -> str:
        """Where our settings for it go: Debian's postgresql.conf includes the directory."""
        return f"/etc/postgresql/{self.version}/{self.name}/conf.d/50-matrix-baremetal.conf"


@dataclass(frozen=True)
class Facts:
    """The machine: `memory` in bytes, `nginx` as numbers, `python` as 3.11.

    `addresses` are those of its own that the internet can reach: none behind NAT, and then nothing is known.
    """

    release: int
    architecture: str
    memory: int
    processors: int
    python: str
    nginx: tuple[int, ...]
    ipv6: bool
    cluster: Cluster | None
    addresses: tuple[str, ...] = ()


def read(host: Host) -> Facts:
    """Look at the host. Writes nothing, and works in a folder too, where the machine is the one that looks."""
    packages = installed(host)
    release = re.search(r'^VERSION_ID="?(\d+)', host.text("/etc/os-release") or "", re.MULTILINE)
    python = re.search(r"\d+\.\d+", host.target("/usr/bin/python3") or "")
    return Facts(
        release=int(release[1]) if release else 0,
        architecture=host.processor,
        memory=kernel.memory(),
        processors=kernel.processors(),
        python=python[0] if python else "",
        nginx=numbers(packages.get("nginx", "")),
        ipv6=host.live and os.path.exists("/proc/net/if_inet6"),
        cluster=cluster(host),
        addresses=public(own_addresses(host)) if host.live else (),
    )


def own_addresses(host: Host) -> list[str]:
    """The addresses of this machine, as the kernel writes them below /proc/net: the timer's unit has no netlink."""
    four = re.findall(r"\|-- ([0-9.]+)\n +/32 host LOCAL", host.text("/proc/net/fib_trie") or "")
    six = re.findall(r"^[0-9a-f]{32}", host.text("/proc/net/if_inet6") or "", re.MULTILINE)
    return [*four, *(":".join(re.findall("....", digits)) for digits in six)]


def addresses(host: Host) -> tuple[str, ...]:
    """This machine's addresses but those of its loopback or of one link; of IPv6 those that last."""
    # The fifth column is made of IFA_F_*: 0x01 temporary (RFC 8981), 0x20 deprecated (linux/if_addr.h).
    rows = re.findall(r"^([0-9a-f]{32})(?: \S+){3} ([0-9a-f]+)", host.text("/proc/net/if_inet6") or "", re.MULTILINE)
    fleeting = {ipaddress.IPv6Address(int(digits, 16)) for digits, flags in rows if int(flags, 16) & 0x21}
    known = dict.fromkeys(ipaddress.ip_address(text) for text in own_addresses(host))
    return tuple(str(a) for a in known if not (a.is_loopback or a.is_link_local or a in fleeting))


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a Debian version: 1.22.1-9+deb12u11 gives (1, 22, 1)."""
    upstream = version.partition(":")[2] or version
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[-+~]", upstream)[0]))


def cluster(host: Host) -> Cluster | None:
    """The cluster to use: the one that Synapse uses already, else the standard port's, else the newest."""
    written = re.search(r"^    port: (\d+)$", host.text("/etc/matrix-synapse/homeserver.yaml") or "", re.MULTILINE)
    used = int(written[1]) if written else 0
    found = [
        Cluster(version, name, port(host, version, name))
        for version in host.names("/etc/postgresql")
        for name in host.names(f"/etc/postgresql/{version}")
        if version.isdigit() and host.node(f"/etc/postgresql/{version}/{name}/postgresql.conf")
    ]
    found.sort(key=lambda c: (c.port == used, host.node(c.drop_in) is not None, c.port == 5432, int(c.version)))
    if not found:
        return None
    best = found[-1]
    try:
        others = bool(query(host, best.port, OTHERS, must=True))
    except Error:
        # It is down, or we may not ask (the unit that retries certificates can't become postgres): left alone.
        others = True
    return replace(best, shared=others, tuned=host.node(best.drop_in) is not None)


OTHERS = """SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'
AND coalesce(shobj_description(oid, 'pg_database'), '') <> 'made by matrix-baremetal';"""


def port(host: Host, version: str, name: str) -> int:
    """The port that a cluster's postgresql.conf names."""
    text = host.text(f"/etc/postgresql/{version}/{name}/postgresql.conf") or ""
    found = re.findall(r"^\s*port\s*=\s*(\d+)", text, re.MULTILINE)
    return int(found[-1]) if found else 5432
