"""The router before a machine at home: whether the internet reaches it, and whether names lead to it."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.machine import SHARED_BY_PROVIDERS, within
from matrix_baremetal.facts import home
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.net import public

ASK = "ask the provider for a public IPv4 address of your own, or use IPv6 or a tunnel"
PAGE = (
    "look at the router's own page which address it has: one that begins with 10., 192.168., 172.16. to 172.31. or "
    "100.64. to 100.127. is inside of another network, and no port can be forwarded"
)


@dataclass(frozen=True)
class Router(Check):
    """What the router says of itself, which tells a provider's NAT from one of one's own."""

    form = "network.router"
    asks = "the router before this machine has an address that the internet reaches, and names lead to it"
    remote = True
    depth = 0

    name: str

    def look(self, host: Host) -> Finding:
        network = home(host)
        if network is None:
            return self.fine("no router stands before this machine")
        outside = host.net.router(network.gateway)
        if not outside:
            return self.told(f"the router {network.gateway} does not say which address it has", next=PAGE)
        seen = f"the router {network.gateway} has {outside}"
        if within(outside, SHARED_BY_PROVIDERS):
            return self.warned(f"{seen}, which is inside of its provider's network (CGNAT): nobody gets in", next=ASK)
        if not public((outside,)):
            more = "forward the ports in the router before it too, or have this one be a mere modem or switch"
            return self.warned(f"{seen}, so there is another router before it, or the provider's NAT", next=more)
        found = host.net.lookup(self.name, "A")
        led = public(found.values)
        if led and outside not in led:
            mend = f"set the A record of {self.name} to {outside}, or have it follow: ddns in the config"
            return self.warned(f"{seen}, and {self.name} leads to {', '.join(led)}", next=mend)
        return self.fine(seen)
