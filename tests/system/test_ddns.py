"""A home line: Debian's ddclient tells a provider the address, once, in words where it can't; and then no more."""

from __future__ import annotations

import pytest

from tests.lab import dyndns, network
from tests.lab.dyndns import Provider
from tests.system import invariants
from tests.system.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
PASSWORD = """of "dyn": {yes}, # 'it\\ is' x=y"""
FILE = "/etc/matrix-baremetal/ddns.password"
UNIT = "matrix-ddns.service"
DEBIANS = "ddclient.service"


def test_names_follow_the_line_and_no_more(site: Site) -> None:
    name, host = f"home.{site.server_name}", f"dyn-{site.guest.debian}"
    octet = network.HOMES[site.guest.debian][0]
    with dyndns.provider(site.lab, host, octet, f"matrix:{PASSWORD}", [name]) as theirs:
        site.lab.dns.set(name, a=["10.77.0.250"])
        ours = {"provider": "dyndns2", "server": theirs.name, "address": f"https://{theirs.name}/address"}
        site.change(ddns={**ours, "hostnames": [name], "user": "matrix", "password_file": FILE})
        assert f"{FILE} should hold a password" in site.mb("apply", status=1).stderr
        refused(site, theirs)
        accepted(site, theirs, name)
        follows(site, theirs, name)
        without(site)


def write(site: Site, password: str) -> None:
    site.guest.run(f"umask 077 && cat > {FILE}", input=f"{password}\n")


def tell(site: Site) -> str:
    """A run of ours by hand, or the one that the timer began; what it says."""
    site.guest.run(["systemctl", "start", UNIT])
    return site.guest.run(f"journalctl -q -o cat -u {UNIT}").stdout


def refused(site: Site, theirs: Provider) -> None:
    """A wrong password is said in words, and tried once: providers lock out who asks on."""
    write(site, "not the password")
    site.mb("apply")
    assert "the provider refuses the user or the password" in tell(site)
    tell(site)
    assert [answer for _, _, answer in theirs.asked()] == ["badauth"]
    said = site.mb("doctor", "ddns", status=3).stdout
    assert "the provider refuses the user or the password" in said
    assert "password_file" in said


def accepted(site: Site, theirs: Provider, name: str) -> None:
    """The right one is taken up by apply, its timer runs ddclient at once, and the name leads here."""
    write(site, PASSWORD)
    assert PASSWORD not in site.mb("plan", "-v", status=3).stdout
    site.mb("apply")
    assert f"the DNS provider was told {site.guest.ip}" in tell(site)
    tell(site)
    assert theirs.asked()[1:] == [(name, site.guest.ip, f"good {site.guest.ip}")]
    assert resolved(site, name) == site.guest.ip
    assert "2 fine" in site.mb("doctor", "ddns").stdout
    invariants.nothing_to_do(site)
    # Its package has neither started a daemon nor asked anything.
    assert site.show(DEBIANS, "LoadState", "ActiveState") == {"LoadState": "masked", "ActiveState": "inactive"}
    assert PASSWORD not in site.guest.run("journalctl -b -q -o cat").stdout


def follows(site: Site, theirs: Provider, name: str) -> None:
    """Another address, twice, after a reboot of the machine too; where nothing changes nobody is asked."""
    for address in ("10.77.0.251", "10.77.0.252"):
        theirs.sees(address)
        # What ddclient remembers is too young for another update: an hour has gone by.
        site.guest.run(f"sed -i 's/mtime=[0-9]*/mtime=1700000000/' /var/lib/matrix-ddns/{name}.cache")
        assert f"the DNS provider was told {address}" in tell(site)
        assert resolved(site, name) == address
        told = len(theirs.asked())
        tell(site)
        assert len(theirs.asked()) == told
    site.lab.dns.set(name, a=["10.77.0.250"])
    assert "told a moment ago" in site.mb("doctor", f"ddns.name.{name}").stdout
    theirs.sees("nowhere")
    assert "no IPv4 address" in tell(site)
    assert "can't be found" in site.mb("doctor", "ddns.update", status=3).stdout


def resolved(site: Site, name: str) -> str:
    return site.guest.run(["getent", "ahostsv4", name]).stdout.split()[0]


def without(site: Site) -> None:
    site.change(ddns=None)
    site.mb("apply")
    gone = "/etc/matrix-ddns /var/lib/matrix-ddns /etc/systemd/system/ddclient.service"
    assert site.guest.run(f"ls -d {gone}", check=False).stdout == ""
    assert site.show("matrix-ddns.timer", "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
    }
    assert site.show(DEBIANS, "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
    }
    invariants.nothing_to_do(site)
    invariants.hold(site)
