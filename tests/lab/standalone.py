"""The pretend internet on a machine of its own: `python3 -m tests.lab.standalone ADDRESS NAME=ADDRESS…`.

The lab's own DNS server and certificate authority, as units of that machine's systemd, at its own address: each NAME
and all below it are at the ADDRESS behind it. Who is to trust the authority asks http://ADDRESS/ for its roots, as
lab.crt and acme.crt. Run again it takes the names that it is given then. MATRIX_BAREMETAL_LAB says where it keeps
its things.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import shutil
import socket
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from . import authority, pebble, zone
from .errors import LabError
from .places import RUN, write_json, write_text
from .programs import call, say, wait_for

_HERE = Path(__file__).parent
_UNITS = Path("/etc/systemd/system")
_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
ROOTS = RUN / "roots"
_UNIT = """[Unit]
Description={what}
After=network-online.target
Wants=network-online.target

[Service]
{environment}ExecStart={command}
{more}Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


def _words(argv: Sequence[str]) -> tuple[str, dict[str, str]]:
    """The address of this machine, and of each name; raises LabError for what is neither."""
    if len(argv) < 2:
        raise LabError("which address, and which names?", "as: 192.168.56.10 one.test=192.168.56.11")
    found: dict[str, str] = {}
    for word in argv[1:]:
        name, _, address = word.partition("=")
        if not _NAME.fullmatch(name):
            raise LabError(f"{name!r} is no name of a machine", "as: one.test=192.168.56.11")
        found[name] = address
    for address in (argv[0], *found.values()):
        try:
            ipaddress.IPv4Address(address)
        except ValueError as e:
            raise LabError(f"{address!r} is no IPv4 address", "as: one.test=192.168.56.11") from e
    return argv[0], found


def _serve(
    name: str, what: str, *argv: str, environment: Mapping[str, str] | None = None, after: Sequence[str] = ()
) -> None:
    """A service that runs now and after each boot; `after` is a command for when it has started."""
    variables = "".join(f"Environment={key}={value}\n" for key, value in (environment or {}).items())
    more = f"ExecStartPost={shlex.join(after)}\n" if after else ""
    text = _UNIT.format(what=what, environment=variables, command=shlex.join(argv), more=more)
    write_text(_UNITS / f"{name}.service", text)
    call("systemctl", "daemon-reload")
    call("systemctl", "enable", "--quiet", f"{name}.service")
    call("systemctl", "restart", f"{name}.service")


def up(address: str, machines: Mapping[str, str]) -> None:
    """All services run after this."""
    write_json(zone.FILE, zone.sites(address, machines))
    authority.found()
    ROOTS.mkdir(parents=True, exist_ok=True)
    shutil.copy(authority.ROOT, ROOTS / "lab.crt")
    certificate, key = authority.issue((*zone.LETS_ENCRYPT, "acme.test", "localhost", address), days=3650)
    settings = RUN / "pebble.json"
    write_json(settings, pebble.config(address, certificate, key))

    python, resolver = "/usr/bin/python3", Path("/etc/resolv.conf").read_text()
    upstream = re.findall(r"^\s*nameserver\s+(\S+)", resolver, re.MULTILINE)
    # Both sides of it are in one network here, the one that it starts in.
    here = "/proc/self/ns/net"
    _serve("lab-dns", "DNS", python, str(_HERE / "dns.py"), str(zone.FILE), here, address, "--", *upstream)
    # Pebble makes a new root at each start.
    fetch = ["/usr/bin/curl", "-fsS", "--retry", "30", "--retry-connrefused", "--retry-delay", "1"]
    fetch += ["--cacert", str(authority.ROOT), "--output", str(ROOTS / "acme.crt")]
    _serve(
        "lab-pebble",
        "Certificate authority",
        *pebble.argv(settings, address),
        environment=pebble.ENVIRONMENT,
        after=[*fetch, f"https://{address}:{pebble.MANAGEMENT}/roots/0"],
    )
    proxy = (str(certificate), str(key), str(authority.ROOT), str(RUN / "limits.json"), f"{address}:{pebble.PORT}")
    _serve("lab-acme", "Let's Encrypt's front door", python, str(_HERE / "acme_proxy.py"), *proxy, address)
    web = ("-m", "http.server", "--bind", address, "--directory", str(ROOTS), "80")
    _serve("lab-roots", "Roots to trust", python, *web)
    _wait(address)


def _wait(address: str) -> None:
    """Until each of them answers: systemd calls a service started that ends a moment later."""

    def connects(port: int) -> bool:
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            return False
        return True

    def roots() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/lab.crt", timeout=2) as answer:
                return bool(answer.read() == authority.ROOT.read_bytes())
        except OSError:
            return False

    for unit, port in (("lab-dns", 53), ("lab-pebble", pebble.PORT), ("lab-acme", 443)):
        wait_for(partial(connects, port), f"{unit} at port {port}", 60, f"see: journalctl -u {unit}")
    wait_for(roots, "lab-roots at port 80", 60, "see: journalctl -u lab-roots; ss -ltnp 'sport = :80'")


def main(argv: Sequence[str]) -> int:
    try:
        address, machines = _words(argv)
        up(address, machines)
    except LabError as e:
        sys.stderr.write(f"lab: {e}\n")
        return 1
    say(f"DNS and a certificate authority are at {address} for {', '.join(machines)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
