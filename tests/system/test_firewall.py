"""The machine's own firewall: opened for what the homeserver needs and no more, mended, and closed again."""

from __future__ import annotations

import pytest

from tests.system import invariants
from tests.system.site import Site

pytestmark = [pytest.mark.lab]
OTHER = 8123
WEB = {80, 443}
OURS = {
    "ufw": {"ufw's rule for matrix-baremetal"},
    "firewalld": {"firewalld's service matrix-baremetal"},
}


@pytest.mark.sampled(12)
def test_ufw_is_opened_for_the_homeserver_and_closed_again(site: Site) -> None:
    """Beside ssh and somebody who is not wanted, as its operator has it."""
    prepared(site, "ufw")
    site.guest.run("ufw limit 22/tcp comment 'from home'; ufw deny from 192.0.2.1; ufw --force enable")
    theirs = rules(site)
    opened(site, "ufw")
    mended(site, "ufw", "ufw delete allow matrix-baremetal")
    # Out of the kernel alone, behind ufw's back; and a part more opens its port.
    site.guest.run("iptables -F ufw-user-input")
    assert site.planned() == OURS["ufw"]
    site.change(firewall="ufw", federation={"delegation": "none"})
    site.mb("apply", status=(0, 3))
    assert reached(site, 8448) == {*WEB, 8448}
    closed(site)
    assert rules(site).splitlines() == theirs.splitlines()
    assert invariants.found(site) == []


@pytest.mark.long
def test_firewalld_is_opened_for_the_homeserver_and_closed_again(site: Site) -> None:
    """In its default zone, beside a port that is open until the next reload."""
    prepared(site, "firewalld")
    assert "firewalld keeps closed what others have to reach" in site.mb("doctor", "firewall").stdout
    theirs = zone(site)
    site.guest.run(f"firewall-cmd --add-port={OTHER}/tcp")
    site.change(firewall="firewalld")
    # What is in force for the moment is not dropped: that is for its operator to say.
    assert "for the moment" in site.mb("apply", status=3).stdout
    assert reached(site) == {OTHER}
    site.guest.run("firewall-cmd --reload")
    opened(site, "firewalld", yet=True)
    site.change(firewall="firewalld", turn={"enabled": True})
    site.mb("apply")
    assert reached(site, 3478) == {*WEB, 3478}
    assert "49152-49407/udp" in site.guest.run("firewall-cmd --info-service=matrix-baremetal").stdout
    site.change(firewall="firewalld")
    site.mb("apply")
    assert "3478" not in site.guest.run("firewall-cmd --info-service=matrix-baremetal").stdout
    mended(site, "firewalld", "firewall-cmd --permanent --remove-service=matrix-baremetal; firewall-cmd --reload")
    mended(site, "firewalld", "firewall-cmd --remove-service=matrix-baremetal")
    closed(site)
    assert zone(site) == theirs
    site.guest.run("systemctl disable -q --now firewalld")
    invariants.hold(site)


def prepared(site: Site, package: str) -> None:
    """The firewall of this package, and a program that others have no business with."""
    install = f"apt-get install -q -y --no-install-recommends {package}"
    site.guest.run(f"systemd-run -q python3 -m http.server {OTHER}")
    site.guest.run(f"until (</dev/tcp/127.0.0.1/{OTHER}) 2>/dev/null; do sleep 0.1; done")
    assert reached(site) == {*WEB, OTHER}
    site.guest.run(f"{install} || {{ apt-get update -q; {install}; }}", timeout=200)
    # Rules for a firewall of one's own are such that nft takes them.
    shown = site.mb("show", "ports", "--nftables").stdout
    table = f"table inet own {{ chain in {{ type filter hook input priority 0; policy drop;\n{shown}}}\n}}\n"
    site.lab.client(["nft", "-c", "-f", "-"], input=table)


def reached(site: Site, *more: int) -> set[int]:
    """Which ports somebody outside gets to."""
    knock = "(timeout 0.6 bash -c '</dev/tcp/{0}/{1}' 2>/dev/null && echo {1}) &"
    script = " ".join(knock.format(site.guest.ip, port) for port in (*WEB, OTHER, *more))
    return {int(number) for number in site.lab.client(["bash", "-c", f"{script} wait"]).stdout.split()}


def rules(site: Site) -> str:
    """All of ufw's own, kept and in force."""
    look = "cat /etc/ufw/user*.rules; ls /etc/ufw/applications.d; iptables -S ufw-user-input; ip6tables -S"
    return site.guest.run(look).stdout


def zone(site: Site) -> str:
    """What the zone lets in, kept and in force, and what firewalld knows beside."""
    look = "firewall-cmd --list-all; firewall-cmd --permanent --list-all; ls /etc/firewalld/services"
    return site.guest.run(look).stdout


def opened(site: Site, kind: str, yet: bool = False) -> None:
    """What the config asks for and no more, once; doctor says so before and after."""
    if not yet:
        assert reached(site) == set()
        assert (
            f"{kind} keeps closed what others have to reach: 80/tcp, 443/tcp" in site.mb("doctor", "firewall").stdout
        )
        site.change(firewall=kind)
        assert len(site.planned()) == 2
        site.mb("apply")
    assert reached(site) == WEB
    assert "1 fine" in site.mb("doctor", "firewall").stdout
    invariants.nothing_to_do(site)


def mended(site: Site, kind: str, away: str) -> None:
    """What somebody took away, plan shows and apply puts back."""
    site.guest.run(away)
    assert reached(site) == set()
    assert site.planned() == OURS[kind]
    site.mb("apply")
    assert reached(site) == WEB


def closed(site: Site) -> None:
    """Switched off, what was ours is gone."""
    site.change()
    site.mb("apply")
    assert reached(site) == set()
