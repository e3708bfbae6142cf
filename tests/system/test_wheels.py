"""Where Synapse's packages come from: a directory alone on a machine without a way out, and what isn't ours in it."""

from __future__ import annotations

import re

import pytest

from tests.system import invariants
from tests.system.site import WHEELS, Site

pytestmark = [pytest.mark.lab, pytest.mark.own_guests]
OPT = "/opt/matrix-baremetal/synapse"


@pytest.fixture
def cut_off(fresh: Site) -> Site:
    """A machine that reaches its own network (its certificate authority) and no package index."""
    fresh.guest.run("ip route del default")
    return fresh


@pytest.mark.sampled(12)
def test_without_a_network_and_without_uv(cut_off: Site) -> None:
    """Debian's pip makes the same virtualenv; a wheel that was tampered with is refused, with both hashes."""
    site, own = cut_off, "/root/wheels"
    site.guest.run(f"cp -r {WHEELS} {own} && rm {own}/uv-*.whl")
    wheel = site.guest.run(f"ls {own}/jinja2-*.whl").stdout.strip()
    site.guest.run(f"cp {wheel} /root/ && printf x >> {wheel}")
    found = site.guest.run(["sha256sum", wheel]).stdout.split()[0]
    pinned = site.guest.run(f"sha256sum /root/{wheel.rpartition('/')[2]}").stdout.split()[0]

    done = site.mb("install", "--unattended", "--admin", "alice", "--wheelhouse", own, status=1)
    assert "a package is not the one that this release pins, so nothing was installed" in done.stderr
    assert "jinja2" in done.stderr.lower()
    assert found in done.stderr
    assert pinned in done.stderr
    assert site.guest.run(f"ls -A {OPT}").stdout == ""

    site.guest.run(f"mv /root/{wheel.rpartition('/')[2]} {own}/")
    said = site.mb("install", "--unattended", "--admin", "alice", "--wheelhouse", own).stdout
    assert f"{site.server_name} is ready after" in said
    assert re.search(
        r"pip", site.guest.run(f"cat {OPT}/current/lib/python3*/site-packages/jinja2-*/INSTALLER").stdout
    )
    invariants.hold(site)


@pytest.mark.sampled(13)
def test_without_a_network_and_without_wheels(cut_off: Site) -> None:
    """It says which index it can't reach, leaves nothing half-made, and the next run is a whole install."""
    done = cut_off.mb("install", "--unattended", "--admin", "alice", status=1)
    assert "could not be made from the package index" in done.stderr
    assert cut_off.guest.run(f"ls -A {OPT}").stdout == ""
    cut_off.install()
    invariants.hold(cut_off)
