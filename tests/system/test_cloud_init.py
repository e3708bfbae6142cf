"""docs/cloud-init.yaml in guests that boot with it: nobody types anything, and a homeserver answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Guest, Lab
from tests.system import cloud, invariants
from tests.system.archive import Archive
from tests.system.cloud import LOG, SCRIPT, user_data
from tests.system.conftest import Snapshots
from tests.system.site import CONFIG, Site

pytestmark = [pytest.mark.lab, pytest.mark.own_guests, pytest.mark.sampled(12)]
# Where a repository is served is this and the release of Debian: no guest has an address so high.
FREE = 240


@pytest.fixture
def machine(lab: Lab, snapshots: Snapshots, debian: int, name: str) -> Iterator[Guest]:
    """A machine as a provider starts it: cloud-init and Debian's packages, and none of ours."""
    guest = snapshots.boot("package", debian, name)
    cloud.install(guest)
    guest.run("apt-get purge -q -y matrix-baremetal")
    yield guest
    lab.down(name)


@pytest.fixture
def archive(machine: Guest, deb: Path, tmp_path: Path) -> Archive:
    """An apt repository that nobody serves yet."""
    made = Archive(tmp_path, machine, FREE + machine.debian)
    made.add(deb)
    return made


def test_from_a_late_network_a_mistake_and_a_power_cut_to_a_homeserver(
    lab: Lab, machine: Guest, archive: Archive, tmp_path: Path
) -> None:
    site = Site(lab, machine)
    page = user_data(machine.domain, tmp_path).replace("apt.example.org", archive.name)
    late_and_mistaken(lab, machine, archive, page.replace("email:", "emial:"))
    began = time.monotonic()
    cloud.seed(machine, page, "corrected")
    cloud.restart(machine)
    cut_off(machine)
    machine.up()
    cloud.ended(machine, 0)
    sys.stderr.write(f"\nDebian {machine.debian}, corrected and cut off: {time.monotonic() - began:.0f} s\n")
    said = machine.read(LOG)
    assert f"{site.server_name} is ready after" in said
    assert "no faults" in said
    assert site.password("admin") not in said
    assert machine.run(["ls", SCRIPT], check=False).returncode, "the script is still there"
    assert "is ready after" in machine.run("journalctl -b -t cloud-init -o cat").stdout
    assert site.answers()
    password = machine.run(cloud.readme()[3].removeprefix("sudo ")).stdout.strip()
    assert site.login("admin", password).user == f"@admin:{site.server_name}"
    assert machine.run(["systemctl", "--failed", "--quiet"]).stdout == ""
    invariants.hold(site)
    assert site.planned() == set()


def late_and_mistaken(lab: Lab, guest: Guest, archive: Archive, page: str) -> None:
    """The first boot waits for DNS, and then ends at once with the place of the mistake."""
    lab.dns.delete(archive.name)
    cloud.seed(guest, page, "mistaken")
    cloud.restart(guest)
    cloud.wait_for(guest, "the package can't be had yet; trying again in 10 s")
    with archive.served(lab):
        cloud.wait_for(guest, "^Cloud-init v. .* finished")
    assert "matrix-baremetal" in cloud.ended(guest, 1).stdout
    said = guest.read(LOG)
    assert f'{CONFIG}:3:3: acme: unknown key "emial" (did you mean email?)' in said
    assert "Traceback" not in said
    assert guest.run(["ls", "/var/lib/matrix-baremetal/manifest.json"], check=False).returncode
    assert guest.run(["dpkg", "--audit"]).stdout == ""


def cut_off(guest: Guest) -> None:
    """The plug is pulled in mid-install."""
    said = cloud.wait_for(guest, "create secret /var/lib/matrix-synapse/signing.key")
    guest.kill()
    assert "is ready after" not in said
