"""What this machine is. Read once from the host and handed to the site, so that components stay pure."""

from __future__ import annotations

import io
import ipaddress
import re
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from matrix_baremetal import kernel
from matrix_baremetal.connections import POOL
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.net import public
from matrix_baremetal.resources import clusters
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.packages import installed


@dataclass(frozen=True)
class Facts:
    """The machine: `memory` in bytes, `nginx` as numbers, `python` as 3.11.

    `addresses` are those of its own that the internet can reach: none behind NAT, and then nothing is known.
    `no_cluster` says why none of its Postgres clusters can be ours; without Postgres there is neither. `pool` is the
    most connections that one process of Synapse opens, `used_port` where its config says that Postgres is. `in_files`
    are the system users of those bridges that have their rows in an SQLite file. `zone` is its time zone.
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
    no_cluster: Obstacle | None = None
    pool: int = POOL
    used_port: int | None = None
    in_files: tuple[str, ...] = ()
    zone: tzinfo = field(default=UTC, compare=False)


def read(host: Host) -> Facts:
    """Look at the host. Writes nothing, and works in a folder too, where the machine is the one that looks."""
    packages = installed(host)
    release = re.search(r'^VERSION_ID="?(\d+)', host.text("/etc/os-release") or "", re.MULTILINE)
    there, used = clusters.read(host), used_port(host)
    # Where Postgres is yet to be installed, that makes its first cluster.
    chosen = clusters.choose(there, used) if there or "postgresql" in packages else None
    return Facts(
        release=int(release[1]) if release else 0,
        architecture=host.processor,
        memory=kernel.memory(),
        processors=kernel.processors(),
        python=python(host),
        nginx=numbers(packages.get("nginx", "")),
        ipv6=host.live and host.node("/proc/net/if_inet6") is not None,
        cluster=chosen if isinstance(chosen, Cluster) else None,
        addresses=public(own_addresses(host)) if host.live else (),
        no_cluster=chosen if isinstance(chosen, Obstacle) else None,
        pool=pool(host),
        used_port=used,
        in_files=tuple(name for name in host.names("/var/lib") if host.node(sqlite_file(name))),
        zone=zone(host),
    )


def zone(host: Host) -> tzinfo:
    """The machine's time zone; UTC where it has none (localtime(5)). Not the caller's, who may have another in TZ."""
    data = host.read("/etc/localtime")
    try:
        return ZoneInfo.from_file(io.BytesIO(data)) if data else UTC
    except ValueError:
        return UTC


def sqlite_file(user: str) -> str:
    """Where a bridge has its rows that has them in a file."""
    return f"/var/lib/{user}/database/bridge.db"


def python(host: Host) -> str:
    """The version of Debian's Python, as 3.11."""
    found = re.search(r"\d+\.\d+", host.target("/usr/bin/python3") or "")
    return found[0] if found else ""


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


@dataclass(frozen=True)
class Home:
    """A network of private addresses: this machine's, and the router's."""

    address: str
    gateway: str


def home(host: Host) -> Home | None:
    """The network by which this machine gets out, where its address there is a private one; None where it is not.

    Of several, such as those of containers, it is the one that the default route goes by (/proc/net/route).
    """
    rows = [line.split() for line in (host.text("/proc/net/route") or "").splitlines()[1:]]
    routes = [(row[0], backwards(row[1]), backwards(row[2]), backwards(row[7])) for row in rows if len(row) > 7]
    ways = [(card, gateway) for card, to, gateway, _ in routes if not int(to) and int(gateway)]
    here = {card: (int(to), int(mask)) for card, to, _, mask in routes if int(to)}
    for card, gateway in ways[:1]:
        net, mask = here.get(card, (1, 0))
        for own in (ipaddress.ip_address(each) for each in addresses(host)):
            if own.version == 4 and int(own) & mask == net and not own.is_global:
                return Home(str(own), str(gateway))
    return None


def backwards(digits: str) -> ipaddress.IPv4Address:
    """An address as /proc/net/route writes it, the last byte first."""
    return ipaddress.IPv4Address(bytes.fromhex(digits)[::-1])


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a Debian version: 1.22.1-9+deb12u11 gives (1, 22, 1)."""
    upstream = version.partition(":")[2] or version
    return tuple(int(part) for part in re.findall(r"\d+", re.split(r"[-+~]", upstream)[0]))


def used_port(host: Host) -> int | None:
    """The port of Postgres that Synapse's config names, as far as it is ours and names one."""
    text = host.text("/etc/matrix-synapse/homeserver.yaml") or ""
    ours = text.startswith("# Written by matrix-baremetal")
    found = re.search(r"^    port: (\d+)$", text, re.MULTILINE) if ours else None
    return int(found[1]) if found else None


def pool(host: Host) -> int:
    """`cp_max` of Synapse's database: the operator's in conf.d, where a whole `database` replaces ours; else ours."""
    found = None
    for name in host.names("/etc/matrix-synapse/conf.d"):
        text = host.text(f"/etc/matrix-synapse/conf.d/{name}") or "" if name.endswith(".yaml") else ""
        for block in re.findall(r"^database:.*\n(?:[ #].*\n|\n)*", text + "\n", re.MULTILINE):
            found = re.search(r"^ +cp_max: *(\d+)", block, re.MULTILINE)
    return int(found[1]) if found else POOL
