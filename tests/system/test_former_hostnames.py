"""Another hostname: whoever knows the old one is served there, as long as the config lists it."""

from __future__ import annotations

import pytest

from tests.system import invariants
from tests.system.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
SERVER = "/.well-known/matrix/server"
TLS = "/etc/matrix-baremetal/tls"


def test_a_former_hostname_is_served_until_it_is_taken_off_the_list(site: Site) -> None:
    """Clients that know the old name go on, other servers too, and nothing of it is left afterwards."""
    old, new = site.hostname, f"talk.{site.server_name}"
    site.lab.dns.set(new, a=[site.guest.ip], aaaa=[site.guest.ip6])
    alice = site.login("alice")
    site.change(hostname=new)
    assert f"former_hostnames: [{old}]" in " ".join(site.mb("plan", status=3).stderr.split())
    site.change(hostname=new, former_hostnames=[old])
    assert "former_hostnames" not in site.mb("plan", status=3).stderr
    assert old not in " ".join(row["title"] for row in site.plan() if row["action"] == "remove")
    site.mb("apply")
    invariants.nothing_to_do(site)
    site.hostname = new
    assert site.get(SERVER, site.server_name).data == {"m.server": f"{new}:443"}
    assert alice.ask("GET", "account/whoami")["user_id"] == alice.user
    for name in (old, new):
        assert site.get("/_matrix/federation/v1/version", name).status == 200
    assert site.get("/", old).status == 404
    assert "no faults" in site.mb("doctor").stdout
    site.change(hostname=new, former_hostnames=[])
    site.mb("apply")
    invariants.nothing_to_do(site)
    assert not site.web.works(f"https://{old}/_matrix/client/versions")
    assert site.guest.run(f"ls -d /etc/letsencrypt/live/*{old} {TLS}/{old}", check=False).stdout == ""
    assert "no faults" in site.mb("doctor").stdout
