"""The pretend internet's services: DNS, pebble in the part of Let's Encrypt, and where releases come from.

They start with the first guest, outlive the command that started them, and end with `down`. Whoever calls holds the
lock "lab".
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import acme_proxy, authority, network, pebble, releases, zone
from .errors import LabError
from .places import REPOSITORY, RUN, read_json, write_json, write_text
from .programs import Process, call, daemon, wait_for

HOME = RUN / "infra"
ROOTS = RUN / "roots"
LIMITS = HOME / "limits.json"
_HERE = Path(__file__).parent


def up() -> None:
    """All services run after this; those that do already are left alone."""
    network.up()
    network.plug("infra", network.INFRA)
    network.plug("client", network.CLIENT)
    network.alias("infra", network.MIRROR)
    if not zone.FILE.exists():
        zone.publish()
    dns_start()
    authority.found()
    _keep_root("lab", authority.ROOT.read_text())
    acme_start()
    _mirror_start()


def down() -> None:
    """End the services; what they kept goes with RUN."""
    for name in ("mirror", "proxy", "pebble", "dns"):
        _stop(name)


def roots() -> list[Path]:
    """The roots that somebody on the pretend internet trusts: the lab's own and that of every pebble so far.

    Pebble makes a new root at each start. The real one's stays: what was issued before a restart must remain valid.
    """
    return sorted(ROOTS.glob("*.crt"))


def _keep_root(name: str, pem: str) -> None:
    path = ROOTS / f"{name}.crt"
    if not path.exists() or path.read_text() != pem:
        write_text(path, pem)


def _running(name: str) -> Process | None:
    known = Process.read(HOME / f"{name}.pid")
    return known if known and known.alive else None


def _stop(name: str) -> None:
    running = _running(name)
    if running:
        running.kill()
    (HOME / f"{name}.pid").unlink(missing_ok=True)


def _start(name: str, *argv: str, inside: bool = True, env: Mapping[str, str] | None = None) -> None:
    entered = ("nsenter", f"--net={network.namespace('infra')}", "--") if inside else ()
    daemon([*entered, *argv], HOME / f"{name}.log", env).write(HOME / f"{name}.pid")


def _current(name: str, program: Path) -> bool:
    """Whether a service runs, and runs what its program says now; else it is ended, to be started anew."""
    noted, now = HOME / f"{name}.source", program.read_text()
    if _running(name) and noted.exists() and noted.read_text() == now:
        return True
    _stop(name)
    write_text(noted, now)
    return False


def _answers(port: int, octet: int = network.INFRA) -> bool:
    try:
        socket.create_connection((network.ip4(octet), port), timeout=1).close()
    except OSError:
        return False
    return True


def _clear_port(port: int, octet: int = network.INFRA) -> None:
    """End whoever holds a port: a run that was killed too early left a service whose pid nobody noted."""
    held = f"sport = :{port} and ( src {network.ip4(octet)} or src [{network.ip6(octet)}] )"
    listed = call("ip", "netns", "exec", network.namespace("infra").name, "ss", "-Hltnp", held)
    for pid in {int(found) for found in re.findall(r"pid=(\d+)", listed)}:
        Process.of(pid).kill()


def dns_start() -> None:
    """Start the DNS server unless it runs."""
    if _current("dns", _HERE / "dns.py"):
        return
    _clear_port(53)
    resolv = Path("/etc/resolv.conf").read_text()
    upstream = re.findall(r"^\s*nameserver\s+(\S+)", resolv, re.MULTILINE)
    addresses = (network.ip4(network.INFRA), network.ip6(network.INFRA))
    space = str(network.namespace("infra"))
    _start(
        "dns", sys.executable, str(_HERE / "dns.py"), str(zone.FILE), space, *addresses, "--", *upstream, inside=False
    )
    wait_for(lambda: _answers(53), "the lab's DNS server", 10, f"see {HOME}/dns.log")


def dns_stop() -> None:
    """No name resolves any more, as when a provider's resolver is down."""
    _stop("dns")


def acme_start(validity: int | None = None) -> None:
    """Start the certificate authority unless it runs. `validity`: seconds that its certificates live; with another
    number than now, pebble starts anew, and knows none of its accounts any more.
    """
    kept = read_json(HOME / "pebble.json") or {}
    now = kept.get("pebble", {}).get("certificateValidityPeriod", pebble.VALIDITY)
    if validity not in (None, now):
        _stop("pebble")
    names = (*zone.LETS_ENCRYPT, "acme.test", "localhost", network.ip4(network.INFRA))
    certificate, key = authority.issue(names, days=3650)
    if not _running("pebble"):
        _clear_port(pebble.PORT)
        _start_pebble(certificate, key, validity or now)
    if not _current("proxy", _HERE / "acme_proxy.py"):
        _clear_port(443)
        upstream = f"{network.ip4(network.INFRA)}:{pebble.PORT}"
        addresses = (network.ip4(network.INFRA), network.ip6(network.INFRA))
        program = (sys.executable, str(_HERE / "acme_proxy.py"), str(certificate), str(key), str(authority.ROOT))
        _start("proxy", *program, str(LIMITS), upstream, *addresses)
        wait_for(lambda: _answers(443), "the lab's Let's Encrypt", 10, f"see {HOME}/proxy.log")


def acme_stop() -> None:
    """Nobody listens at Let's Encrypt's address any more. Pebble lives on, as it keeps accounts in memory only."""
    _stop("proxy")


def _mirror_start() -> None:
    """Start the servers that releases come from, unless they run."""
    if _current("mirror", _HERE / "mirror.py"):
        return
    _clear_port(443, network.MIRROR)
    certificate, key = authority.issue(releases.HOSTS, days=3650)
    addresses = (network.ip4(network.MIRROR), network.ip6(network.MIRROR))
    program = (sys.executable, "-m", "tests.lab.mirror", str(certificate), str(key), str(releases.HOME), *addresses)
    _start("mirror", *program, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    wait_for(lambda: _answers(443, network.MIRROR), "the lab's mirror", 10, f"see {HOME}/mirror.log")


def acme_limit(addresses: Sequence[str], seconds: int | None) -> None:
    """Refuse the orders of these clients and say when to come back; None: take them again."""
    kept = {address: wait for address, wait in (read_json(LIMITS) or {}).items() if address not in addresses}
    write_json(LIMITS, kept if seconds is None else {**kept, **dict.fromkeys(addresses, seconds)})


def acme_orders(addresses: Sequence[str]) -> list[str]:
    """The names of the authority under which these clients asked it for certificates, one for each order."""
    words = [line.split() for line in (HOME / "proxy.log").read_text().splitlines()]
    return [row[1] for row in words if row[0] in addresses and row[2:4] == ['"POST', acme_proxy.ORDER]]


def _start_pebble(certificate: Path, key: Path, validity: int) -> None:
    address = network.ip4(network.INFRA)
    write_json(HOME / "pebble.json", pebble.config(address, certificate, key, validity))
    program = pebble.argv(HOME / "pebble.json", address)
    _start("pebble", *program, env={**os.environ, **pebble.ENVIRONMENT})
    running = _running("pebble")
    wait_for(lambda: _answers(pebble.MANAGEMENT), "pebble", 10, f"see {HOME}/pebble.log")
    if running is None or not running.alive:
        raise LabError("pebble ended as soon as it started", f"see {HOME}/pebble.log")
    _keep_root(f"acme-{running.started}", _pebble_root())


def _pebble_root() -> str:
    context = ssl.create_default_context(cafile=str(authority.ROOT))
    asked = http.client.HTTPSConnection(network.ip4(network.INFRA), pebble.MANAGEMENT, context=context, timeout=5)
    asked.request("GET", "/roots/0")
    return asked.getresponse().read().decode()
