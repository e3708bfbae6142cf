"""Somebody behind a router: a network namespace whose only way out is another one, which hides its address (NAT).

That is a person at home, or a guest with a homeserver, for which the router forwards ports.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from . import client, network
from .guest import Guest
from .places import PREFIX, lock
from .programs import call

# What the router lets in for the one behind it.
FORWARDED = 3480
_TABLE = f"""
table ip home {{
  chain out {{ type nat hook postrouting priority 100; oifname "host0" masquerade; }}
  chain in {{ type nat hook prerouting priority -100; iifname "host0" udp dport {FORWARDED} dnat to 192.168.77.2; }}
}}
"""


class Home:
    """A home network: what the world sees of it, and programs in it."""

    def __init__(self, name: str, octet: int) -> None:
        self.space, self.ip, self.inner = f"{PREFIX}-{name}-inside", network.ip4(octet), "192.168.77.2"

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command of this machine that runs `command` there, with this machine's files."""
        return ["ip", "netns", "exec", self.space, *command]

    def client_argv(self, command: Sequence[str]) -> list[str]:
        """The same with the pretend internet's DNS and trust."""
        return client.argv(*command, space=str(network.NETNS / self.space))

    def bar(self, *rules: str) -> None:
        """Let nothing out that one of these rules of nft names, and all else."""
        rows = "\n".join(("type filter hook output priority 0;", *rules))
        text = f"table inet bar\ndelete table inet bar\ntable inet bar {{\nchain out {{\n{rows}\n}}\n}}\n"
        call(*self.argv(["nft", "-f", "-"]), input=text)


@contextlib.contextmanager
def behind_a_router(name: str, octet: int) -> Iterator[Home]:
    """Somebody at home; the router has the octet's address on the pretend internet. `Lab.down` takes it away, too."""
    home = Home(name, octet)
    # As with guests: who has this lock is at work there, and it is nothing that a killed run has left.
    with lock(f"guest-{name}"), lock(f"guest-{name}-inside"):
        yield from made(home, name, octet)


def made(home: Home, name: str, octet: int) -> Iterator[Home]:
    """The wires, for as long as somebody is at home."""
    network.unplug(f"{name}-inside")
    network.unplug(name)
    router = network.plug(name, octet).name
    try:
        call("ip", "netns", "add", home.space)
        ends = ("type", "veth", "peer", "name", "home0", "netns", home.space)
        call("ip", "-n", router, "link", "add", "home0", *ends)
        for space, address in ((router, "192.168.77.1"), (home.space, home.inner)):
            call("ip", "-n", space, "address", "add", f"{address}/24", "dev", "home0")
            call("ip", "-n", space, "link", "set", "home0", "up")
            call("ip", "-n", space, "link", "set", "lo", "up")
        call("ip", "-n", home.space, "route", "add", "default", "via", "192.168.77.1")
        call("ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        call("ip", "netns", "exec", router, "nft", "-f", "-", input=_TABLE)
        yield home
    finally:
        network.unplug(f"{name}-inside")
        network.unplug(name)


@contextlib.contextmanager
def before(
    guest: Guest, outside: str, forwarded: Sequence[str], strangers: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Put a router before a guest for a while, with `outside` as its address on the pretend internet.

    `forwarded` are ports in the words of nft (`udp dport 3478`), and nothing else gets in; `strangers` are namespaces
    that can find the address. Gives the addresses of the router and of the guest in the network between them.
    """
    octet, name = network.ROUTERS[guest.debian], f"router-{guest.debian}"
    wire, inner, gate = network.wire(guest.disk.octet), "192.168.77.2", "192.168.77.1"
    with lock(f"guest-{name}"):
        network.unplug(name)
        router, inside = network.plug(name, octet).name, network.namespace(guest.name).name
        try:
            call("ip", "link", "set", wire, "nomaster", "netns", router)
            call("ip", "-n", router, "link", "set", wire, "up")
            call("ip", "-n", router, "address", "add", f"{gate}/24", "dev", wire)
            call("ip", "-n", router, "address", "add", f"{outside}/32", "dev", "host0")
            call("ip", "-n", inside, "address", "flush", "dev", "host0", "scope", "global")
            call("ip", "-n", inside, "address", "add", f"{inner}/24", "dev", "host0")
            call("ip", "-n", inside, "address", "add", f"{guest.ip6}/64", "dev", "host0", "nodad")
            call("ip", "-n", inside, "route", "replace", "default", "via", gate)
            call("ip", "netns", "exec", router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
            call("ip", "netns", "exec", router, "nft", "-f", "-", input=forwarding(outside, forwarded, inner))
            for each in strangers:
                call("ip", "-n", each, "route", "replace", outside, "dev", "host0")
            yield gate, inner
        finally:
            for each in strangers:
                call("ip", "-n", each, "route", "delete", outside, check=False)
            # Before the router goes, with all that is plugged into it.
            call("ip", "-n", router, "link", "set", wire, "netns", str(os.getpid()))
            call("ip", "link", "set", wire, "master", network.BRIDGE, "up")
            network.settle(guest.name, guest.disk.octet)
            network.unplug(name)


def forwarding(outside: str, ports: Sequence[str], inner: str) -> str:
    """What a router does: it hides who is behind it, and lets in what somebody told it to."""
    rows = "\n".join(f'iifname "host0" ip daddr {outside} {each} dnat to {inner}' for each in ports)
    return f"""
table ip router {{
  chain out {{
    type nat hook postrouting priority 100
    oifname "host0" masquerade
  }}
  chain in {{
    type nat hook prerouting priority -100
    {rows}
  }}
}}
"""
