"""The machine itself: room on its disks, memory, the clock, and the addresses that it has."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from matrix_baremetal.checks.check import PATIENCE, Check
from matrix_baremetal.facts import addresses
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.web import Request

MB = 1024 * 1024
# Below the first a database stops; below the second one has a few days. Bytes.
FULL, TIGHT = 200 * MB, 1024 * MB
# Seconds: what TLS and signatures forgive, and what shows that nobody sets the clock.
WRONG, ASTRAY = 3600, 30
# systemd's catalogue: "A process of this unit has been killed by the OOM killer" (sd-messages.h).
OUT_OF_MEMORY = "MESSAGE_ID=fe6faa94e7774663a0da52717891d8ef"
SHARED_BY_PROVIDERS = ipaddress.ip_network("100.64.0.0/10")  # RFC 6598
AT_HOME = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))


def within(address: str, *networks: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    """Whether an address is in one of these networks."""
    return any(ipaddress.ip_address(address) in network for network in networks)


def private(address: str) -> bool:
    """Whether only one's own network reaches an address (RFC 1918, RFC 4193)."""
    return within(address, *AT_HOME)


@dataclass(frozen=True)
class Disk(Check):
    """Room where something of ours writes."""

    form = "disk.{0.name}"
    asks = "there is room on the disk where something of ours writes"
    depth = 0

    name: str
    path: str

    def look(self, host: Host) -> Finding:
        space = host.space(self.path)
        seen = f"{self.path} has {space.size // MB} MB free of {space.all_size // MB} MB"
        look = f"du -xh {self.path} | sort -h | tail; apt clean; journalctl --vacuum-size=200M"
        if space.size < FULL:
            return self.failed(f"the disk is full: {seen}", next=look)
        if space.size < TIGHT and space.size < space.all_size / 5:
            return self.warned(f"the disk is nearly full: {seen}", next=look)
        return self.fine(seen)


@dataclass(frozen=True)
class Inodes(Check):
    """Room for files, which may run out before the bytes do."""

    form = "inodes.{0.name}"
    asks = "there is room for more files where something of ours writes"
    depth = 0

    name: str
    path: str

    def look(self, host: Host) -> Finding:
        space = host.space(self.path)
        seen = f"{self.path} has room for {space.files} more files"
        look = f"du -x --inodes {self.path} | sort -n | tail"
        if space.files < min(1000, space.all_files // 50):
            return self.failed(f"the disk has no inodes left: {seen}", next=look)
        if space.files < space.all_files / 20:
            return self.warned(f"the disk is nearly out of inodes: {seen}", next=look)
        return self.fine(seen)


def memory(host: Host) -> dict[str, int]:
    """What the kernel says of its memory, in MB, by its own names (proc(5), meminfo)."""
    rows = dict(line.split(":", 1) for line in (host.text("/proc/meminfo") or "").splitlines() if ":" in line)
    return {name: int(text.split()[0]) // 1024 for name, text in rows.items() if text.split()[0].isdigit()}


@dataclass(frozen=True)
class Memory(Check):
    """Memory that programs can still have, and swap."""

    form = "memory.available"
    asks = "there is memory left, and swap that isn't full"
    depth = 0

    def look(self, host: Host) -> Finding:
        size = memory(host)
        available, total = size.get("MemAvailable"), size.get("MemTotal", 0)
        if available is None:
            return self.skipped("/proc/meminfo can't be read")
        swap = f", {size['SwapFree']} of {size['SwapTotal']} MB of swap" if size.get("SwapTotal") else ", no swap"
        seen = f"{available} of {total} MB of memory are available{swap}"
        look = "ps aux --sort -rss | head; matrix-baremetal status"
        if available < max(total // 20, 64) or (size.get("SwapTotal") and size["SwapFree"] < size["SwapTotal"] // 20):
            return self.warned(f"memory runs out: {seen}", next=look)
        return self.fine(seen)


@dataclass(frozen=True)
class Killed(Check):
    """Processes that the kernel killed for memory."""

    form = "memory.killed"
    asks = "the kernel killed a process of a unit because memory ran out, within a week"

    def look(self, host: Host) -> Finding:
        words = ("-q", "-n", "5", "-o", "short-iso", "--since=-7d", OUT_OF_MEMORY)
        told = host.run("journalctl", *words, ok=range(256), timeout=PATIENCE).out
        lines = tuple(line.strip() for line in told.splitlines() if line.strip())
        if not lines:
            return self.fine("nothing was killed for want of memory within a week")
        return self.warned(
            "memory ran out, and the kernel killed a process", *lines, next="free -m; add swap or memory"
        )


@dataclass(frozen=True)
class Synchronised(Check):
    """Whether something sets the clock."""

    form = "clock.synchronised"
    asks = "the clock is set by the network's time"
    depth = 0

    def look(self, host: Host) -> Finding:
        if host.run("systemd-detect-virt", "--quiet", "--container", ok=range(256), timeout=PATIENCE).status == 0:
            return self.skipped("this is a container, whose clock is its host's")
        asked = ("show", "--property=NTPSynchronized", "--value")
        told = host.run("timedatectl", *asked, ok=range(256), timeout=PATIENCE).out.strip()
        if told == "yes":
            return self.fine("the clock is synchronised")
        if told != "no":
            return self.skipped("systemd does not say whether the clock is synchronised")
        return self.warned(
            "nothing synchronises the clock", next="apt install systemd-timesyncd; timedatectl set-ntp true"
        )


@dataclass(frozen=True)
class Right(Check):
    """The clock against somebody else's: with a wrong one, certificates and signatures are refused."""

    form = "clock.right"
    asks = "the clock agrees with that of the certificate authority"
    remote = True
    depth = 0

    url: str

    def look(self, host: Host) -> Finding:
        import email.utils

        name = urlsplit(self.url).hostname
        answer = host.net.request(Request(self.url, method="HEAD"))
        try:
            theirs = email.utils.parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except (TypeError, ValueError):
            return self.skipped(f"{name} says no date: {answer.fault or f'status {answer.status}'}")
        # What it means that TLS did not trust it, this check is to find out.
        off = time.time() - theirs
        seen = f"this machine's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} that of {name}"
        if abs(off) > WRONG:
            return self.failed(
                f"the clock is wrong, so TLS and federation fail: {seen}",
                next="timedatectl set-ntp true; timedatectl",
                fix="timedatectl set-ntp true",
            )
        if abs(off) > ASTRAY:
            return self.warned(
                f"the clock goes astray: {seen}",
                next="timedatectl set-ntp true; timedatectl",
                fix="timedatectl set-ntp true",
            )
        return self.fine(f"the clock agrees with that of {name}")


@dataclass(frozen=True)
class Addresses(Check):
    """What addresses this machine has, which tells whether others can reach it at all."""

    form = "network.addresses"
    asks = "this machine has an address that others can reach, or is behind a router or a provider's NAT"
    depth = 0

    def look(self, host: Host) -> Finding:
        own = addresses(host)
        old = [address for address in own if ":" not in address]
        if not own:
            return self.failed(
                "this machine has no address but loopback", next="ip address; systemctl status networking"
            )
        if any(within(a, SHARED_BY_PROVIDERS) for a in old) and all(
            private(a) or within(a, SHARED_BY_PROVIDERS) for a in old
        ):
            return self.warned(
                "this machine is behind its provider's NAT (CGNAT): no port can be forwarded to it",
                *own,
                next="ask the provider for an address of your own, or use IPv6 or a tunnel",
            )
        if old and all(private(address) for address in old):
            return self.told(
                "this machine is behind a router, if it is reached from the internet at all",
                *own,
                next="forward the ports 80 and 443 of the router to it",
            )
        return self.fine(f"this machine has {', '.join(own)}")
