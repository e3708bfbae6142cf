"""dns-01: a machine whose port 80 is closed proves its names by records in a real DNS server (RFC 2136, TSIG)."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import pytest

from tests.lab import network
from tests.lab.programs import call
from tests.system import invariants
from tests.system.site import CONFIG, Site
from tests.system.test_certificates import RENEW

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
CREDENTIALS = "/etc/matrix-baremetal/secrets/dns-rfc2136"
ZONE = """\
$TTL 2
@ IN SOA ns hostmaster 1 60 60 60 2
@ IN NS ns
@ IN A {ip}
@ IN AAAA {ip6}
ns IN A {ip}
* IN A {ip}
* IN AAAA {ip6}
"""
NAMED = """\
key matrix-key {{ algorithm hmac-sha256; secret "{secret}"; }};
options {{ directory "/var/cache/bind"; recursion no; listen-on {{ any; }}; listen-on-v6 {{ none; }}; }};
zone "{name}" {{
  type primary;
  file "/var/lib/bind/zone";
  update-policy {{ grant matrix-key subdomain {name} TXT; }};
}};
"""
CLOSED = "table inet closed {{ chain in {{ type filter hook input priority 0; iif != lo tcp dport 80 drop; }}; }}"


@pytest.fixture
def closed(site: Site) -> Iterator[Site]:
    """A site that nobody reaches on port 80, with the DNS server of its zone, which the pretend internet asks."""
    secret = base64.b64encode(os.urandom(32)).decode()
    guest = site.guest
    guest.run(
        "apt-get install -q -y --no-install-recommends bind9 || (apt-get update -q && apt-get install -q -y bind9)"
    )
    guest.write("/var/lib/bind/zone", ZONE.format(ip=guest.ip, ip6=guest.ip6))
    guest.write("/etc/bind/named.conf", NAMED.format(secret=secret, name=site.server_name), 0o640)
    guest.run("chown -R bind:bind /var/lib/bind && chgrp bind /etc/bind/named.conf && systemctl restart named")
    call("ip", "netns", "exec", network.namespace(guest.name).name, "nft", "-f", "-", input=CLOSED.format())
    site.lab.dns.set(site.server_name, forward=guest.ip)
    rows = {"server": guest.ip, "name": "matrix-key", "secret": secret, "algorithm": "HMAC-SHA256"}
    guest.write("/root/credentials", "".join(f"dns_rfc2136_{key} = {value}\n" for key, value in rows.items()), 0o644)
    yield site
    site.lab.dns.reset(site.server_name)


def asked_for(site: Site, **acme: str | int) -> None:
    """The config says so of ACME."""
    text = site.guest.read(CONFIG).partition("# -- tests")[0].partition("\nacme:")[0]
    site.guest.write(CONFIG, text)
    site.change(acme={"email": f"admin@{site.server_name}", **acme})


def test_without_port_80(closed: Site) -> None:
    site, names = closed, (closed.hostname, closed.server_name)
    before = [site.serial(name) for name in names]
    assert site.guest.run(RENEW, check=False).returncode == 1, "port 80 is not closed"

    # Whatever is missing is said before anything is changed.
    asked_for(site, challenge="dns-01", dns_plugin="rfc2163", dns_propagation=1)
    said = site.mb("apply", status=1).stderr
    assert "has no package python3-certbot-dns-rfc2163" in said
    assert "rfc2136" in said
    asked_for(site, challenge="dns-01", dns_plugin="rfc2136", dns_propagation=1)
    assert f"needs its credentials in {CREDENTIALS}" in site.mb("apply", status=1).stderr
    site.guest.run(f"cp /root/credentials {CREDENTIALS} && rm /root/credentials")
    assert f"{CREDENTIALS} can be read by others" in site.mb("apply", status=1).stderr
    site.guest.run(f"chmod 600 {CREDENTIALS}")

    # Another challenge is another order: certbot renews as it has ordered.
    assert {f"certificate for {name}" for name in names} < site.planned()
    site.mb("apply")
    ordered = [site.serial(name) for name in names]
    assert all(new != old for new, old in zip(ordered, before, strict=True))
    site.guest.run(RENEW)
    assert all(new != old for new, old in zip([site.serial(name) for name in names], ordered, strict=True))

    # A key that the DNS server does not take: said, and what is served stays; and then it is asked for no more.
    served = [site.serial(name) for name in names]
    site.guest.run(f"sed -i 's/= matrix-key/= other-key/' {CREDENTIALS}")
    asked_for(site, challenge="dns-01", dns_plugin="rfc2136", dns_propagation=2)
    done = site.mb("apply", status=3)
    assert "the DNS plugin failed: " in done.stdout, done.stdout
    asked_for(site, challenge="dns-01", dns_plugin="rfc2136", dns_propagation=1)
    after = site.mb("apply", status=(0, 3))
    assert after.returncode == 0, f"{done.stdout}\nand then\n{after.stdout}"
    assert [site.serial(name) for name in names] == served
    invariants.hold(site)
