"""Ports as another machine of the operator's sees them: open, kept by a firewall, sent elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import Guest, Lab, network
from tests.lab.programs import call
from tests.system import invariants
from tests.system.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
RULES = (
    "table inet outside {{ chain in {{ type filter hook input priority 0; iif != lo tcp dport 443 {verdict}; }}; }}"
)


@pytest.fixture
def shell(lab: Lab, debian: int) -> Iterator[Guest]:
    """A machine elsewhere, with ssh."""
    name = f"st-shell{debian}"
    lab.down(name)
    guest = lab.up(name, debian, bare=True)
    guest.run(
        "apt-get update -q && apt-get install -q -y --no-install-recommends openssh-server python3", timeout=300
    )
    guest.run("systemctl start ssh")
    yield guest
    lab.down(name)


def ruled(site: Site, verdict: str) -> None:
    """A firewall in front of port 443; none without a verdict."""
    inside = ("ip", "netns", "exec", network.namespace(site.guest.name).name, "nft")
    call(*inside, "delete", "table", "inet", "outside", check=False)
    if verdict:
        call(*inside, "-f", "-", input=RULES.format(verdict=verdict))


def test_what_another_machine_reaches_is_told(site: Site, shell: Guest) -> None:
    via = f"ssh:root@{shell.domain}"
    site.guest.run("apt-get install -q -y --no-install-recommends openssh-client || apt-get update -q")
    site.guest.run("command -v ssh || apt-get install -q -y --no-install-recommends openssh-client", timeout=120)
    # Whom nobody knows nobody is let in.
    done = site.mb("doctor", "--probe-from", via, "outside", status=1)
    assert f"{via} could not be asked" in done.stderr
    site.guest.run("ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519")
    shell.write("/root/.ssh/authorized_keys", site.guest.read("/root/.ssh/id_ed25519.pub"), 0o600)
    site.guest.run(f"ssh-keyscan -t ed25519 {shell.domain} >> /root/.ssh/known_hosts")

    def found(status: int) -> dict[str, tuple[str, str]]:
        page = site.mb("doctor", "--probe-from", via, "--json", "outside", status=status).stdout
        return {row["id"]: (row["state"], row["message"]) for row in json.loads(page)["findings"]}

    assert {id: state for id, (state, _) in found(0).items()} == {"outside.tcp.443": "pass", "outside.tcp.80": "pass"}
    try:
        ruled(site, "drop")
        assert "a firewall or a router keeps it" in found(3)["outside.tcp.443"][1]
        ruled(site, "reject with tcp reset")
        assert "is refused there" in found(3)["outside.tcp.443"][1]
    finally:
        ruled(site, "")
    # A router that sends it to another machine.
    shell.run("openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=x -keyout /root/k -out /root/c 2>/dev/null")
    shell.run("systemd-run -q openssl s_server -accept 443 -key /root/k -cert /root/c")
    shell.run(f"echo '{shell.ip} {site.hostname}' >> /etc/hosts")
    assert "somebody else than this machine" in found(3)["outside.tcp.443"][1]
    invariants.hold(site)
