"""What other people's packages ask of a machine, which is better known before they come; a part of preflight."""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrix_baremetal import components
from matrix_baremetal.checks.firewall import WALLS
from matrix_baremetal.components.firewall import opened
from matrix_baremetal.components.jitsi import PACKAGES
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.masks import NOTHING, PLACE
from matrix_baremetal.resources.packages import added, installed
from matrix_baremetal.resources.systemd import shown
from matrix_baremetal.site import Site

MB = 1024 * 1024
# Those that jicofo and the videobridge depend on, either of them (their debian/control).
JAVA = ("openjdk-17-jre-headless", "openjdk-21-jre-headless")
# MB: with less, two Javas beside the homeserver are killed for want of it; with less than the other it is tight.
LEAST, LITTLE = 1800, 3800
ELSEWHERE = "set calls.jitsi in the config to the name of a Jitsi on another machine, or to none"


def obstacles(site: Site, host: Host) -> Iterator[Obstacle]:
    """What is in the way of Jitsi, and of an open firewall, where it is asked for."""
    kind = site.config.wall.kind
    if kind != "none" and not WALLS[kind].installed(host):
        # It is not ours to install: a firewall that is new keeps everything closed, ssh too.
        hint = f"apt install {kind}, let ssh in and switch it on; or write firewall: none into the config"
        yield Obstacle(f"{kind} is to be opened (firewall), and it is not installed", hint)
    if not site.config.calls.rooms_under(site.config.server_name):
        return
    yield from java(host)
    yield from others(host)
    memory = site.facts.memory // MB
    if memory < LEAST:
        yield Obstacle(
            f"this machine has {memory} MB of memory, and with Jitsi it needs {LEAST} MB in all", ELSEWHERE
        )


def java(host: Host) -> Iterator[Obstacle]:
    """Debian has a Java that Jitsi runs on; a machine whose lists were never fetched knows of nothing."""
    there = installed(host)
    if any(name in there for name in JAVA):
        return
    told = host.run("apt-cache", "policy", "prosody", *JAVA).out
    known = set(re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (?!\(none\))", told, re.MULTILINE))
    if "prosody" in known and not known.intersection(JAVA):
        yield Obstacle(f"apt offers neither {' nor '.join(JAVA)}, and Jitsi runs on no other Java", ELSEWHERE)


def others(host: Host) -> Iterator[Obstacle]:
    """Nobody has a Jitsi or a Prosody here: Jitsi's packages would write into the config of the one that there is."""
    there, ours = installed(host), added(host)
    if theirs := [name for name in PACKAGES if name in there and name not in ours]:
        yield Obstacle(f"somebody has installed {', '.join(theirs)} on this machine already", ELSEWHERE)
    runs = "prosody" in there and shown(host, "prosody.service", "ActiveState")["ActiveState"] == "active"
    if runs and host.target(f"{PLACE}/prosody.service") != NOTHING:
        yield Obstacle("prosody.service runs here, and Jitsi's packages would write into its config", ELSEWHERE)


def remarks(site: Site, host: Host) -> Iterator[str]:
    """What stops nothing and should be known before."""
    yield from guarded(site, host)
    memory = site.facts.memory // MB
    if site.config.calls.rooms_under(site.config.server_name) and memory < LITTLE:
        yield f"this machine has {memory} MB of memory, which is little for Jitsi: calls of many may break off"


def guarded(site: Site, host: Host) -> Iterator[str]:
    """Whether this machine's firewall keeps others out: without port 80 there is no certificate."""
    kind = site.config.wall.kind
    if not host.live:
        return
    if kind != "none" and not WALLS[kind].active(host):
        yield (
            f"{kind} is off, so it keeps nothing closed; what is opened in it counts from when somebody switches it "
            "on, which is not done from here, as it could shut ssh out"
        )
    elif kind == "none" and (seen := opened(site, components.needs(site)).look(host)).state == "warn":
        yield f"{seen.message}; to have it opened, {seen.next}"
