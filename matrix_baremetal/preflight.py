"""What must be true before the first change. All that is wrong is said at once, and nothing has been touched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from matrix_baremetal import standing
from matrix_baremetal.checks.machine import Right
from matrix_baremetal.components.component import TLS
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.kernel import Listener
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.names import WITHOUT_CREDENTIALS
from matrix_baremetal.needs import Database, Needs, Port, Setting
from matrix_baremetal.resources import elsewhere
from matrix_baremetal.resources.key_pair import mistakes
from matrix_baremetal.resources.packages import installed
from matrix_baremetal.site import Site

MB = 1024 * 1024
MADE_BY_US = "# Written by matrix-baremetal"
LITTLE = 1000  # MB; Synapse, Postgres and nginx of a quiet server take 300
# What an install puts there, measured on Debian 12 and 13, times 1.2: bytes, and files.
SPACE = {"/opt": (450 * MB, 12_000), "/var/lib": (250 * MB, 3_000)}


class Refused(Error):
    """Preflight found obstacles; each has its own hint."""

    def __init__(self, obstacles: list[Obstacle]) -> None:
        self.obstacles = tuple(obstacles)
        told = "\n".join(f"{o.message}\n    → {o.hint}" for o in obstacles)
        super().__init__(told, hint="nothing was changed", passes=all(o.passes for o in obstacles))


def check_machine(host: Host) -> None:
    """Whether this is a machine that we work on at all; before the config is asked for or read.

    Raises `Refused`.
    """
    refuse([*machine(host)])


def remarks(site: Site, host: Host) -> Iterator[str]:
    """What stops nothing and should be known before: what a small machine can't do, and who is left behind."""
    yield from standing.remarks(site, host)
    memory = site.facts.memory // MB
    if memory < LITTLE:
        yield (
            f"this machine has {memory} MB of memory, which is enough for a few people in small rooms; "
            "rooms of thousands will be refused"
        )


def check(site: Site, needs: Needs, host: Host, manifest: Manifest) -> None:
    """Whether `apply` can begin. Raises `Refused` with all that is in the way."""
    refuse(obstacles(site, needs, host, manifest))


def obstacles(site: Site, needs: Needs, host: Host, manifest: Manifest) -> list[Obstacle]:
    """All that is in the way of `apply`; in a folder, what would be in the way on any machine."""
    if not host.live:
        return [*lasting(site, needs, host, manifest)]
    return [
        *unready(site, needs, host, manifest),
        *key_pair(site, needs, host),
        *dns_plugin(site, host),
        *dns_credentials(site, host),
        *passwords(needs, host, site.config.ddns.password_file if site.config.ddns else None),
    ]


def unready(site: Site, needs: Needs, host: Host, manifest: Manifest) -> list[Obstacle]:
    """What is in the way on a machine, whatever files an operator puts there: a restore is about to bring those."""
    return [
        *machine(host),
        *lasting(site, needs, host, manifest),
        *another(host),
        *standing.obstacles(site, host),
        *databases(site, needs, host),
        *ports(needs, host.net.listeners()),
        *web_server(needs, host),
        *space(host, site),
        *clock(host, site),
    ]


def lasting(site: Site, needs: Needs, host: Host, manifest: Manifest) -> Iterator[Obstacle]:
    """What can never change on a machine."""
    yield from permanence(site, host, manifest)
    yield from same_store(site, host)


def refuse(obstacles: list[Obstacle]) -> None:
    """Raise `Refused` where there is anything."""
    if obstacles:
        raise Refused(obstacles)


def machine(host: Host) -> Iterator[Obstacle]:
    """A system that we work on, and systemd runs."""
    yield from system(host)
    if host.node("/run/systemd/system") is None:
        yield Obstacle("systemd does not run here (a container?)", "use a machine or container that boots systemd")


def system(host: Host) -> Iterator[Obstacle]:
    """Root, Debian 12 or 13, and a processor that there are wheels for."""
    if not host.superuser:
        yield Obstacle("this needs root", "run it with sudo")
    release = dict(re.findall(r'^(\w+)="?([^"\n]*)', host.text("/etc/os-release") or "", re.MULTILINE))
    if release.get("ID") != "debian" or release.get("VERSION_ID") not in ("12", "13"):
        name = release.get("PRETTY_NAME", "an unknown system")
        yield Obstacle(f"this is {name}; only Debian 12 and 13 are supported", "use a machine with Debian 13")
    processor = host.processor
    if processor not in ("x86_64", "aarch64"):
        yield Obstacle(
            f"there are no builds of Synapse for the processor {processor}, only for x86_64 and aarch64",
            "use a 64-bit machine, or render the config for one: matrix-baremetal render DIR",
        )


def permanence(site: Site, host: Host, manifest: Manifest) -> Iterator[Obstacle]:
    """The server name is in every user's and every room's address: it can't change, with the manifest lost or not."""
    written = re.search(r"^server_name: (\S+)$", homeserver_yaml(host), re.MULTILINE)
    old, new = manifest.server_name or (written[1] if written else None), site.config.server_name
    if old not in (None, new):
        yield Obstacle(
            f"this homeserver is {old} and can't become {new}: the name is part of every account and every room",
            f"set server_name: {old} in the config; another name needs another machine",
        )


def homeserver_yaml(host: Host) -> str:
    """Synapse's config as far as it is ours: another's is `another`."""
    text = host.text("/etc/matrix-synapse/homeserver.yaml") or ""
    return text if MADE_BY_US in text else ""


def another(host: Host) -> Iterator[Obstacle]:
    """A Synapse that somebody else set up is not taken over: its key, its database and its files are theirs."""
    written = host.text("/etc/matrix-synapse/homeserver.yaml")
    keys = [name for name in host.names("/etc/matrix-synapse") if name.endswith(".signing.key")]
    if (written is not None and MADE_BY_US not in written) or keys:
        yield Obstacle(
            f"there is another Synapse here, with /etc/matrix-synapse/{keys[0] if keys else 'homeserver.yaml'}",
            "keep it, or move /etc/matrix-synapse and /var/lib/matrix-synapse away if it is not needed any more",
        )


def same_store(site: Site, host: Host) -> Iterator[Obstacle]:
    """What Synapse has kept in one kind of database is not left behind for an empty one of the other kind."""
    written = re.search(r"^database:\n  name: (\w+)$", homeserver_yaml(host), re.MULTILINE)
    stores, wanted = site.stores(USER), site.store(USER)
    # With Synapse's config lost, whoever has its tables is the one.
    left = [s for s in stores.values() if (s.driver == written[1] if written else s.used(host))]
    if left and wanted not in left:
        yield Obstacle(
            f"this homeserver keeps its accounts and messages in {left[0].kind}, and {wanted.kind} would begin "
            "without any",
            f"set database: {left[0].kind} in the config"
            + (", then: matrix-baremetal migrate sqlite-to-postgres" if wanted.kind == "postgres" else ""),
        )


def databases(site: Site, needs: Needs, host: Host) -> Iterator[Obstacle]:
    """Nobody else has a database of our name, its server is new enough, lets us in, and has room for us."""
    least = site.versions.synapse.postgres
    for need in needs.of(Database):
        yield from site.store(need.name).obstacles(host, processes=need.processes, least=least)


def ports(needs: Needs, listening: Iterable[Listener]) -> Iterator[Obstacle]:
    """Nobody else listens where we are going to."""
    wanted = {(port.number, str(port.protocol)): port.unit for port in needs.of(Port) if not port.last}
    # Who listens at several addresses is in the way once.
    for listener in dict.fromkeys(replace(each, address="") for each in listening):
        unit, process = listener.unit or "", f"process {listener.process}"
        if unit != wanted.get((listener.port, listener.protocol), unit):
            by = f"{listener.program} ({process}{', ' + unit if unit else ''})"
            end = f"systemctl disable --now {unit}" if unit.endswith(".service") else f"stop {process}"
            ours = wanted[listener.port, listener.protocol]
            spare = ", or write turn: {enabled: false} into the config" if ours == "matrix-turn.service" else ""
            yield Obstacle(f"port {listener.named} is in use by {by}", f"{end}{spare}")


def web_server(needs: Needs, host: Host) -> Iterator[Obstacle]:
    """nginx's present config is sound, and no site of somebody else's has one of our names."""
    from matrix_baremetal.components.nginx import CONFIG

    if host.node("/usr/sbin/nginx") is None:
        return
    dump = host.run("nginx", "-T", ok=range(256))
    if dump.status and not host.node(CONFIG):
        yield Obstacle(f"nginx's present config is broken: {dump.last_words}", "mend it, then check with: nginx -t")
        return
    ours = set(needs.domains())
    for file, text in re.findall(
        r"^# configuration file (\S+):\n(.*?)(?=^# configuration file |\Z)", dump.out, re.M | re.S
    ):
        plain = re.sub(r"#.*|[\"']", "", text)
        names = {n for row in re.findall(r"(?:^|[{};])\s*server_name\s+([^;]+);", plain, re.M) for n in row.split()}
        if file != CONFIG and (taken := sorted(names & ours)):
            yield Obstacle(
                f"{file} has a site for {', '.join(taken)} already",
                f"take the name out of {file}, or use another `hostname` in the config",
            )


def key_pair(site: Site, needs: Needs, host: Host) -> Iterator[Obstacle]:
    """The operator's own certificate and key can be served, under all our names."""
    tls = site.config.tls
    if tls.certificate and tls.key:
        names = tuple(name for name in needs.domains() if not another_machine(needs, host, name))
        for message, hint in mistakes(host, tls.certificate, tls.key, names):
            yield Obstacle(message, hint)


def another_machine(needs: Needs, host: Host, name: str) -> bool:
    """Whether another web server is there under a name that need not be ours."""
    documents = needs.elsewhere(name)
    return documents is not None and elsewhere.ask(host, name, documents, f"{TLS}/{name}/current").there


def dns_plugin(site: Site, host: Host) -> Iterator[Obstacle]:
    """Debian has the plugin; a machine whose lists were never fetched knows none, and that is for apt to say."""
    from matrix_baremetal.components.certificates import package

    plugin = site.config.acme.dns_plugin
    if plugin is None or package(plugin) in installed(host):
        return
    known = host.run("apt-cache", "--names-only", "search", f"^{package('')}").out
    offered = sorted(re.findall(rf"^{package('')}(\S+) - ", known, re.MULTILINE))
    if offered and plugin not in offered:
        yield Obstacle(
            f"Debian {site.facts.release} has no package {package(plugin)}",
            f"set acme.dns_plugin to one of: {', '.join(n for n in offered if n not in WITHOUT_CREDENTIALS)}",
        )


def dns_credentials(site: Site, host: Host) -> Iterator[Obstacle]:
    """The file that a DNS plugin needs is there, for root alone."""
    from matrix_baremetal.components.certificates import credentials

    path = credentials(site.config.acme)
    node = host.node(path) if path else None
    if path and node is None:
        yield Obstacle(
            f"acme.dns_plugin: {site.config.acme.dns_plugin} needs its credentials in {path}",
            f"install -d -m 700 {path.rpartition('/')[0]} && install -m 600 YOUR-FILE {path}",
        )
    elif path and node and (node.mode & 0o077 or node.owner != "root"):
        yield Obstacle(f"{path} can be read by others than root", f"chown root: {path} && chmod 600 {path}")


def passwords(needs: Needs, host: Host, more: str | None = None) -> Iterator[Obstacle]:
    """The files with passwords that Synapse is given, and one `more`, are there, for root alone."""
    for path in filter(None, (more, *(path for setting in needs.of(Setting) for path in setting.given))):
        node = host.node(path)
        if node is None or not (host.text(path) or "").strip():
            yield Obstacle(f"{path} should hold a password and does not", f"install -m 600 /dev/stdin {path}")
        elif node.mode & 0o077:
            yield Obstacle(f"{path} can be read by others than its owner", f"chmod 600 {path}")


def clock(host: Host, site: Site) -> Iterator[Obstacle]:
    """The clock is right, as certificates are refused with another; only where Synapse isn't there yet."""
    if host.node(f"/opt/matrix-baremetal/synapse/{site.versions.synapse.version}"):
        return
    seen = Right(site.config.acme.url).look(host)
    if seen.state == "fail":
        # At a first boot the time may not have come from the network yet.
        yield Obstacle(seen.message, seen.next, passes=True)


def space(host: Host, site: Site) -> Iterator[Obstacle]:
    """Room for what is about to come; only where Synapse isn't there yet."""
    if host.node(f"/opt/matrix-baremetal/synapse/{site.versions.synapse.version}"):
        return
    needs: dict[int, tuple[str, int, int]] = {}
    for place, (size, files) in SPACE.items():
        # Where both are on one file system, it has to hold both.
        first, sizes, counts = needs.get(host.space(place).device, (place, 0, 0))
        needs[host.space(place).device] = first, sizes + size, counts + files
    for place, size, files in needs.values():
        room = host.space(place)
        if room.size < size:
            yield Obstacle(
                f"{place} has {room.size // MB} MB free and an install needs {size // MB} MB",
                f"make room: du -xh {place} | sort -h | tail; apt clean",
            )
        if room.files < files:
            yield Obstacle(
                f"{place} has room for {room.files} more files and an install makes {files}",
                f"see: df -i {place}; du --inodes -x {place} | sort -n | tail",
            )
