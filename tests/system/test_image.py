"""A golden image: what is dear is in it ahead, what makes a machine its own comes at its first boot."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.system import cloud
from tests.system.cloud import user_data
from tests.system.conftest import Snapshots
from tests.system.site import WHEELS, Site

pytestmark = [pytest.mark.lab, pytest.mark.own_guests]
READY = r"^\S+ (is ready|runs, but not all is in place yet,) after \d+ s\.$"


@pytest.mark.sampled(12)
def test_machines_from_one_image_are_each_their_own_in_seconds(
    lab: Lab, snapshots: Snapshots, tmp_path: Path, debian: int, name: str
) -> None:
    guest = snapshots.boot("package", debian, name)
    cloud.install(guest)
    prepare, *clear, check = howto()
    guest.run(f"{prepare} --wheelhouse {WHEELS}")
    assert "the machine's identity: /etc/machine-id" in Site(lab, guest).mb(*check.split()[1:], status=3).stdout
    for command in clear:
        guest.run(command)
    assert "this can be an image" in guest.run(check).stdout
    label = f"st-image-{debian}"
    try:
        lab.snapshot(guest, label)
        lab.down(name)
        secrets = [first_boot(lab, f"{name}{letter}", label, tmp_path) for letter in "ab"]
    finally:
        lab.forget(label)
    assert len(secrets[0]) >= 4
    assert not secrets[0] & secrets[1], "two machines share a secret"


def howto() -> list[str]:
    """The commands that make an image, as docs/how-to/cloud-init.md has them."""
    text = (cloud.TREE / "docs/how-to/cloud-init.md").read_text().partition("\n## An image")[2]
    commands = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    assert len(commands) == 4
    return commands


def first_boot(lab: Lab, name: str, label: str, place: Path) -> set[str]:
    """Start a machine from the image with user data of its own; its secrets."""
    guest = lab.up(name, lower=label)
    try:
        site = Site(lab, guest)
        cloud.seed(guest, user_data(guest.domain, place), name)
        cloud.restart(guest)
        said = cloud.wait_for(guest, READY)
        cloud.ended(guest, 0)
        sys.stderr.write(f"\n{next(line for line in said.splitlines() if ' after ' in line)}\n")
        assert "virtualenv" not in said
        assert site.login("admin").user == f"@admin:{site.server_name}"
        # One digest a file: which secret it is plays no role.
        files = "find /etc/matrix-baremetal/secrets /var/lib/matrix-synapse/signing.key /etc/machine-id -type f"
        return set(guest.run(f"{files} -exec sha256sum {{}} + | cut -c1-64").stdout.split())
    finally:
        lab.down(name)
