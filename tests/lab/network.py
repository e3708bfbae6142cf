"""The wires: one bridge, and a network namespace for each that is plugged into it.

Addresses end in an octet: 1 is this machine (the way out), 2 the pretend internet's services, 3 the client, 4 a host
of Vagrant's machines, 5 where releases come from (a second address of 2), 6 to 9 the routers of homes, 250 and 251
those before guests, the rest are guests. The way out is IPv4 only, by masquerade, so that guests reach the package
registries; IPv6 ends at the bridge.
"""

from __future__ import annotations

import re
from pathlib import Path

from .errors import LabError
from .places import PREFIX, RUN
from .programs import call

BRIDGE = "mblab0"
GATEWAY, INFRA, CLIENT, VAGRANT, MIRROR = 1, 2, 3, 4, 5
# Routers of homes, by the release of Debian that is tested: both may be at the same time.
HOMES = {12: (6, 7), 13: (8, 9)}
GUESTS = range(10, 250)
ROUTERS = {12: 250, 13: 251}
NETNS = Path("/run/netns")
_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")
_TABLE = f"""
table ip mblab
delete table ip mblab
table ip mblab {{
  chain out {{
    type nat hook postrouting priority 100
    ip saddr 10.77.0.0/24 oifname != "{BRIDGE}" masquerade
  }}
}}
"""


def ip4(octet: int) -> str:
    return f"10.77.0.{octet}"


def ip6(octet: int) -> str:
    """The last four digits are the IPv4's last octet as people write it."""
    return f"fd77::{octet}"


def namespace(name: str) -> Path:
    """The network namespace that belongs to `name`, whether it exists or not."""
    return NETNS / f"{PREFIX}-{name}"


def namespaces() -> list[str]:
    """Names of all that are plugged in, also those that a killed run left behind."""
    return [path.name.removeprefix(f"{PREFIX}-") for path in NETNS.glob(f"{PREFIX}-*")]


def _mtu() -> str:
    """What fits through this machine's way out: a tunnel there is narrower than a bridge here."""
    route = re.search(r"dev (\S+)", call("ip", "-4", "route", "show", "default"))
    device = Path("/sys/class/net", route[1] if route else "lo", "mtu")
    return str(min(1500, int(device.read_text())))


def up() -> None:
    """Bridge, masquerade, forwarding. Remembers what forwarding was, for `down`."""
    if set(NETNS.glob("mblab*-infra")) - {namespace("infra")}:
        raise LabError("another lab has this machine's network (MATRIX_BAREMETAL_LAB)", "run there: bin/lab down")
    others = re.findall(r"^\d+: (\S+)", call("ip", "-4", "-o", "address", "show", "to", f"{ip4(0)}/24"), re.MULTILINE)
    if set(others) - {BRIDGE}:
        raise LabError(f"this machine has an address in the lab's network, {ip4(0)}/24, on {', '.join(others)}")
    before = RUN / "ip_forward"
    if not before.exists():
        before.parent.mkdir(parents=True, exist_ok=True)
        before.write_text(_FORWARD.read_text())
    if _FORWARD.read_text().strip() != "1":
        _FORWARD.write_text("1")
    if not Path("/sys/class/net", BRIDGE).exists():
        call("ip", "link", "add", BRIDGE, "address", "02:77:00:00:00:01", "type", "bridge", "mcast_snooping", "0")
    call("ip", "address", "replace", f"{ip4(GATEWAY)}/24", "dev", BRIDGE)
    call("ip", "address", "replace", f"{ip6(GATEWAY)}/64", "dev", BRIDGE, "nodad")
    call("ip", "link", "set", BRIDGE, "up")
    if "masquerade" not in call("nft", "list", "table", "ip", "mblab", check=False):
        call("nft", "-f", "-", input=_TABLE)


def down() -> None:
    """Take away all that `up` and `plug` made, and put forwarding back."""
    for name in namespaces():
        unplug(name)
    call("ip", "link", "delete", BRIDGE, check=False)
    call("nft", "delete", "table", "ip", "mblab", check=False)
    before = RUN / "ip_forward"
    if before.exists():
        _FORWARD.write_text(before.read_text())
        before.unlink()


def plug(name: str, octet: int) -> Path:
    """A network namespace for `name`, plugged into the bridge; made anew if it is there half."""
    space = namespace(name)
    inside = ("ip", "-n", space.name)
    if space.exists() and ip4(octet) in call(*inside, "-4", "address", "show", "host0", "up", check=False):
        return space
    unplug(name)
    call("ip", "link", "delete", f"mblab.{octet}", check=False)
    call("ip", "netns", "add", space.name)
    # A MAC of its own for each address, for good: peers remember the pair for up to a minute.
    mac = f"02:77:00:00:00:{octet:02x}"
    veth = ("mtu", _mtu(), "type", "veth", "peer", "name", "host0", "mtu", _mtu(), "address", mac)
    call("ip", "link", "add", f"mblab.{octet}", *veth, "netns", space.name)
    call("ip", "link", "set", f"mblab.{octet}", "master", BRIDGE, "up")
    call(*inside, "link", "set", "lo", "up")
    call(*inside, "link", "set", "host0", "up")
    settle(name, octet)
    return space


def settle(name: str, octet: int) -> None:
    """Give the addresses of an octet to who is plugged in, in place of those that he has."""
    inside = ("ip", "-n", namespace(name).name)
    call(*inside, "address", "flush", "dev", "host0", "scope", "global")
    call(*inside, "address", "add", f"{ip6(octet)}/64", "dev", "host0", "nodad")
    call(*inside, "address", "add", f"{ip4(octet)}/24", "dev", "host0")
    call(*inside, "route", "replace", "default", "via", ip4(GATEWAY))


def wire(octet: int) -> str:
    """The other end of somebody's wire, which is in the bridge."""
    return f"mblab.{octet}"


def alias(name: str, octet: int) -> None:
    """One more pair of addresses for somebody who is plugged in."""
    inside = ("ip", "-n", namespace(name).name, "address", "replace")
    call(*inside, f"{ip4(octet)}/24", "dev", "host0")
    call(*inside, f"{ip6(octet)}/64", "dev", "host0", "nodad")


def mute(octet: int, silent: bool = True) -> None:
    """Let nothing through to or from an address, without an error that anybody would get: its link stays up."""
    call("ip", "link", "set", f"mblab.{octet}", *(("nomaster",) if silent else ("master", BRIDGE)))


def unplug(name: str) -> None:
    """The veth pair goes with its namespace."""
    if namespace(name).exists():
        call("ip", "netns", "delete", namespace(name).name, check=False)
