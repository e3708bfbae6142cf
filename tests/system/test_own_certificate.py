"""A pair of the operator's own: refused while it is of no use, served, replaced, and left for another mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system import invariants
from tests.system.site import Site
from tests.system.test_certificates import retry

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
CERTIFICATE, KEY = "/root/tls/full.pem", "/root/tls/key.pem"
FILES = {"mode": "files", "certificate": CERTIFICATE, "key": KEY}


def put(site: Site, certificate: Path, key: Path, mode: int = 0o600) -> None:
    site.guest.write(CERTIFICATE, certificate.read_text())
    site.guest.write(KEY, key.read_text(), mode)


def serial(site: Site, certificate: Path) -> str:
    """What `Site.serial` would say of it."""
    return site.lab.client(["openssl", "x509", "-in", str(certificate), "-noout", "-serial"]).stdout.strip()


def test_of_ones_own(site: Site) -> None:
    names = (site.hostname, site.server_name)
    one = site.lab.certificate(site.server_name, f"*.{site.server_name}")
    two = site.lab.certificate(f"*.{site.server_name}", site.server_name)
    other = site.lab.certificate(f"other.{site.server_name}")
    issued = {name: site.serial(name) for name in names}

    # All that is wrong is said at once, and nothing is changed.
    site.change(tls=FILES)
    put(site, other[0], two[1], 0o644)
    said = site.mb("apply", status=1).stderr
    assert f"{CERTIFICATE} is not for {site.hostname}, {site.server_name}, only for other.{site.server_name}" in said
    assert f"{KEY} is not the key of {CERTIFICATE}" in said
    assert f"{KEY} can be read by every user" in said
    assert {name: site.serial(name) for name in names} == issued

    put(site, *one)
    planned = site.planned()
    assert {f"copy of {CERTIFICATE} for {name}" for name in names} < planned
    assert {f"certificate for {name}" for name in names} < planned, "what is not asked for any more goes"
    site.mb("apply")
    assert {site.serial(name) for name in names} == {serial(site, one[0])}
    assert site.answers()

    # The operator's own tool puts one file there, and later the other; nobody types anything.
    site.guest.write(CERTIFICATE, two[0].read_text())
    retry(site)
    assert {site.serial(name) for name in names} == {serial(site, one[0])}
    assert any(f"{KEY} is not the key of {CERTIFICATE}" in row["fault"] for row in site.status()["faults"])
    site.guest.reboot()
    site.wait_until_it_answers()
    site.guest.write(KEY, two[1].read_text(), 0o600)
    retry(site)
    assert {site.serial(name) for name in names} == {serial(site, two[0])}
    invariants.hold(site)

    # What is there goes on being served until something better has come.
    site.lab.acme_limit(site.guest, 3600)
    try:
        site.change()
        site.mb("apply", status=3)
        assert {site.serial(name) for name in names} == {serial(site, two[0])}
    finally:
        site.lab.acme_limit(site.guest, None)
    site.guest.run("rm /var/lib/matrix-baremetal/pending/*")
    site.mb("apply")
    assert serial(site, two[0]) not in {site.serial(name) for name in names}
    assert site.guest.run("ls -d /etc/matrix-baremetal/tls/*/files*", check=False).stdout == ""
    invariants.hold(site)
