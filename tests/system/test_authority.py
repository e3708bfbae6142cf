"""Another authority, one that wants to be left alone, and a name that leads elsewhere: what is served stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system import invariants
from tests.system.site import CONFIG, Site
from tests.system.test_certificates import LETS_ENCRYPT, notes, retry, time_has_passed

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
OTHER = "acme.test"
# Public, and nobody's for years (RFC 7526): the one is this machine's, the other another's.
PUBLIC, ELSEWHERE = "192.88.99.1", "192.88.99.2"


@pytest.fixture
def unlimited(site: Site) -> Iterator[Site]:
    """A site whose limits and names end with the test."""
    yield site
    site.lab.acme_limit(site.guest, None)
    site.lab.dns.reset(site.server_name)


def ordered_from(site: Site, directory: str) -> None:
    """The config names this directory."""
    email = f"admin@{site.server_name}"
    text = site.guest.read(CONFIG).partition("# -- tests")[0].partition("\nacme:")[0]
    site.guest.write(CONFIG, text)
    site.change(acme={"email": email, "directory": directory})


def test_another_authority_a_limit_and_a_name_that_leads_elsewhere(unlimited: Site) -> None:
    site, lab = unlimited, unlimited.lab
    names = (site.hostname, site.server_name)

    # Another directory is another order, and a plan says it.
    before, asked = {name: site.serial(name) for name in names}, len(lab.acme_orders(site.guest))
    ordered_from(site, f"https://{OTHER}/dir")
    assert {f"certificate for {name}" for name in names} | {"nginx.service"} == site.planned()
    site.mb("apply")
    assert [*lab.acme_orders(site.guest)[asked:]] == [OTHER, OTHER]
    assert all(site.serial(name) != before[name] for name in names)
    invariants.hold(site)

    # Back to Let's Encrypt, which is tired of us: it says for how long, and is not asked again before.
    lab.acme_limit(site.guest, 7200)
    ordered_from(site, "letsencrypt")
    before = {name: site.serial(name) for name in names}
    done = site.mb("apply", status=3)
    assert "the certificate authority's rate limit is reached: too many certificates" in done.stdout
    assert all(7200 <= note["next"] - note["last"] <= 7205 for note in notes(site))
    asked = len(lab.acme_orders(site.guest))
    assert "it is not to be asked before 2" in site.mb("apply", status=3).stdout
    time_has_passed(site)
    retry(site)
    assert len(lab.acme_orders(site.guest)) == asked
    assert {name: site.serial(name) for name in names} == before
    assert site.answers()

    # In time the limit is over; but now one of the names is known to lead to another machine.
    lab.acme_limit(site.guest, None)
    site.guest.run('sed -i \'s/"held": [0-9]*/"held": 0/\' /var/lib/matrix-baremetal/pending/*')
    site.guest.run(f"ip address add {PUBLIC}/32 dev lo && ip route add unreachable {ELSEWHERE}")
    lab.dns.set(site.server_name, a=[ELSEWHERE])
    done = site.mb("apply", status=3)
    assert f"the name {site.server_name} leads to {ELSEWHERE}, and this machine is {PUBLIC}" in done.stdout
    assert [note["reason"].startswith(f"the name {site.server_name} leads") for note in notes(site)] == [True]
    assert {*lab.acme_orders(site.guest)[asked:]} <= {LETS_ENCRYPT, LETS_ENCRYPT.replace("v02", "staging-v02")}
    assert site.serial(site.hostname) != before[site.hostname]

    site.guest.run(f"ip address delete {PUBLIC}/32 dev lo")
    lab.dns.reset(site.server_name)
    time_has_passed(site)
    retry(site)
    assert notes(site) == []
    assert site.serial(site.server_name) != before[site.server_name]
    invariants.hold(site)
