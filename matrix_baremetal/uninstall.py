"""Take away what was made here, and nothing else: what the manifest lists, the latest first.

Data stays, as do secrets, the config, certificates and backups, so that an install finds its server again; `purge`
is for whoever wants them gone. Debian's own removal of the package comes after this: what stops units and undoes
files is in the package, so a maintainer script has to call it from prerm (`uninstall --purge --yes --quiet`, in a
purge that debconf was asked about), when our files are still there, and never from postrm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from matrix_baremetal import backup, components
from matrix_baremetal.components.component import DATA, ETC, STATE
from matrix_baremetal.converge import Change, removal, removed
from matrix_baremetal.host import Host
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.files import Directory
from matrix_baremetal.resources.packages import PATIENCE, added, installed
from matrix_baremetal.resources.services import STAMPS
from matrix_baremetal.session import Session

# What is ours whole, with all that is in it; the config last, as a run that is cut off begins with it again.
PURGED = (
    "/etc/matrix-synapse",
    "/etc/matrix-calls",
    "/etc/matrix-ddns",
    "/etc/matrix-jitsi",
    "/etc/matrix-metrics",
    "/etc/matrix-turn",
    "/etc/matrix-xmpp",
    "/opt/matrix-baremetal",
    DATA,
    "/var/lib/matrix-ddns",
    *(f"/var/lib/matrix-bridge-{name}" for name in ("whatsapp", "telegram", "signal", "discord")),
    "/var/lib/matrix-xmpp-gateway",
    STATE,
    STAMPS,
    ETC,
)

# What nginx and systemd keep of us: a directory, and how the names begin.
TRACES = (
    ("/var/log/nginx", "matrix-baremetal.log"),
    ("/var/lib/systemd/timers", "stamp-matrix-baremetal-"),
    ("/var/lib/systemd/timers", "stamp-matrix-ddns"),
)


def steps(now: Session, *, purge: bool) -> Iterator[Change]:
    """Undo one thing after the other; each is told as it begins and as it ends.

    Where the manifest is lost, what the config asks for is taken for what was made.
    """
    if not now.manifest.entries:
        now.manifest.announce(now.resources)
    packages = added(now.host)
    for orphan in tuple(now.manifest.orphans(())):
        if isinstance(orphan, Certificate) and not purge:
            # An order of the same again would cost a rate limit.
            now.manifest.forget(orphan.key)
            continue
        yield replace(removal(orphan), outcome="begun")
        change = removed(orphan, now.host, now.manifest)
        # A directory in which there is something of somebody's.
        stays = isinstance(orphan, Directory) and now.host.node(orphan.path)
        yield replace(change, verb="keep") if stays else change
    yield from settled(now)
    if purge:
        yield from purged(now, packages)
    else:
        now.manifest.write(now.host)


def settled(now: Session) -> Iterator[Change]:
    """Those who served us and others go on without us: nginx without our site, Postgres without our settings."""
    host, cluster = now.host, now.site.cluster.unit
    host.run("systemctl", "daemon-reload")
    if host.run("nginx", "-t", ok=range(256)).status == 0:
        host.run("systemctl", "reload", "nginx.service", ok=range(256))
        yield done("reload", "nginx.service")
    # What they last took up from us is no longer so: the same files, made once more, have to be taken up again.
    host.remove_tree(STAMPS)
    if now.site.config.database == "postgres" and not now.site.cluster.shared:
        host.run("systemctl", "try-restart", cluster, ok=range(256), timeout=120)
        yield done("restart", cluster)


def purged(now: Session, packages: tuple[str, ...]) -> Iterator[Change]:
    """Data, secrets, config, backups, and the packages that came with us and nobody else needs."""
    host, config = now.host, now.site.config
    for name, store in components.data(now.site).stores.items():
        store.purge(host)
        yield done("remove", f"{name} of {config.server_name}")
    for place in (f"{config.backup.directory}/{backup.BEFORE}", config.backup.directory):
        # Of what a kill left: it has as much in it.
        backup.clear(host, place)
        for each in backup.there(host, place, config.server_name):
            host.remove(each.path)
            yield done("remove", f"backup {each.path}")
    host.remove(f"{config.backup.directory}/{backup.BEFORE}")
    for directory, begin in TRACES:
        for name in host.names(directory):
            if name.startswith(begin):
                host.remove(f"{directory}/{name}")
    certbots(host)
    if names := unneeded(host, packages):
        host.run("apt-get", "purge", "-q", "-y", *PATIENCE, *names, timeout=600)
        yield done("remove", f"packages {', '.join(names)}")
    for path in PURGED:
        if host.node(path):
            host.remove_tree(path)
            yield done("remove", f"{path} and all that is in it")


def certbots(host: Host) -> None:
    """Take away what certbot made, where no certificate of anybody is left; accounts stay, as they may be others'."""
    certbot = "/etc/letsencrypt"
    if any(name.endswith(".conf") for name in host.names(f"{certbot}/renewal")):
        return
    for name in ("archive", "csr", "keys", "live", "renewal"):
        host.remove_tree(f"{certbot}/{name}")
    for name in ("/var/lib/letsencrypt", f"{certbot}/renewal-hooks/pre", f"{certbot}/renewal-hooks/post"):
        host.remove(name)


def unneeded(host: Host, packages: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the packages that we installed whose removal takes nothing else along."""
    names = tuple(name for name in packages if name in installed(host))
    if not names:
        return ()
    told = host.run("apt-get", "purge", "--simulate", "-q", *names, ok=range(256)).out
    gone = set(re.findall(r"^(?:Remv|Purg) (\S+)", told, re.MULTILINE))
    return names if gone <= set(names) else ()


def done(verb: str, title: str) -> Change:
    """One thing that is no resource."""
    return Change("", title, title, "remove", verb=verb, outcome="done")


def listed(now: Session) -> list[str]:
    """What a person should know before: what goes for good."""
    host, config = now.host, now.site.config
    stores = components.data(now.site).stores.items()
    lines = [f"the {name}, {store.kind}, {store.size(host) >> 20} MiB" for name, store in stores]
    backups = backup.there(host, config.backup.directory, config.server_name)
    lines += [f"{len(backups)} backups in {config.backup.directory}"] if backups else []
    return [*lines, *(path for path in PURGED if host.node(path))]
