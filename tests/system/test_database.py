"""The database goes away: ready means that it answers, it is said, and it heals by itself."""

from __future__ import annotations

import time

import pytest

from tests.system import invariants
from tests.system.site import SYNAPSE, Site

pytestmark = pytest.mark.lab


def wait_until_ready(site: Site, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not site.status()["ready"]:
        assert time.monotonic() < deadline, site.guest.run(f"journalctl -n 30 -u {SYNAPSE}").stdout
        time.sleep(0.5)


def test_an_outage_is_said_and_heals(site: Site) -> None:
    site.guest.run(["systemctl", "stop", site.cluster])
    began = time.monotonic()
    page = site.status()
    assert time.monotonic() - began < 10
    assert not page["ready"]
    faults = " ".join(row["fault"] for row in page["faults"])
    assert f"{site.cluster} is inactive" in faults
    assert "does not answer" in faults
    assert all(row["next"] for row in page["faults"])
    assert "is not ready" in site.mb("status", status=3).stdout
    site.mb("user", "list", status=1)
    site.guest.run(["systemctl", "start", site.cluster])
    wait_until_ready(site)
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_apply_starts_a_database_that_was_stopped(site: Site) -> None:
    site.guest.run(["systemctl", "stop", site.cluster])
    assert site.cluster in site.planned()
    site.mb("apply")
    invariants.hold(site)


@pytest.mark.sampled(13)
def test_killed_it_comes_back(site: Site) -> None:
    site.guest.run(["systemctl", "kill", "--signal=KILL", site.cluster])
    wait_until_started(site)
    wait_until_ready(site)
    invariants.hold(site)


def wait_until_started(site: Site) -> None:
    """Debian's unit does not restart a cluster that was killed: apply does."""
    if site.show(site.cluster, "ActiveState")["ActiveState"] != "active":
        site.mb("apply")


@pytest.mark.sampled(12)
def test_a_database_that_is_late_at_boot_is_waited_for(site: Site) -> None:
    """Neither the homeserver nor anything of ours gives up for good."""
    drop_in = f"/etc/systemd/system/{site.cluster}.d/late.conf"
    site.guest.write(drop_in, "[Service]\nExecStartPre=/bin/sleep 12\n")
    site.guest.reboot()
    wait_until_ready(site, 90)
    assert site.guest.run("systemctl --failed --plain --no-legend").stdout == ""
    invariants.remembered(site)


@pytest.mark.sampled(13)
def test_a_homeserver_that_is_killed_comes_back(site: Site) -> None:
    for _ in range(4):
        pid = site.show(SYNAPSE, "MainPID")["MainPID"]
        site.guest.run(["systemctl", "kill", "--signal=KILL", SYNAPSE])
        deadline = time.monotonic() + 30
        while site.show(SYNAPSE, "MainPID")["MainPID"] in (pid, "0"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    wait_until_ready(site)
    invariants.hold(site)
