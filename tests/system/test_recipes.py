"""The programs of docs/how-to/restore.md that carry backups away, as they stand there: by ssh, restic and borg."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.system.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.long]
PAGE = Path(__file__).parents[2] / "docs/how-to/restore.md"
PROGRAM = "/usr/local/sbin/take-away"
# Another machine as far as ssh can tell, with the user that the page speaks of.
STORAGE = """
apt-get update -q && apt-get install -q -y --no-install-recommends openssh-server openssh-client restic borgbackup
install -d -o backup -g backup /srv/storage /srv/storage/matrix /srv/storage/.ssh
usermod -s /bin/sh -d /srv/storage backup
echo '127.0.0.1 storage.example.net' >> /etc/hosts
mkdir -p -m 700 /root/.ssh
[ -e /root/.ssh/id_ed25519 ] || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp /root/.ssh/id_ed25519.pub /srv/storage/.ssh/authorized_keys && chown -R backup: /srv/storage/.ssh
systemctl start ssh
ssh-keyscan -q storage.example.net > /root/.ssh/known_hosts
echo 'a password of restic' > /root/restic-password
echo 'a password of borg' > /root/borg-password
"""
# What its reader has done with restic and borg before: made a repository.
RESTIC = "RESTIC_REPOSITORY=sftp:backup@storage.example.net:matrix RESTIC_PASSWORD_FILE=/root/restic-password"
BORG = "BORG_REPO=ssh://backup@storage.example.net/./matrix BORG_PASSCOMMAND='cat /root/borg-password'"
# How to make the place, and how to have the newest backup back as /root/back.
PLACES = {
    "scp": ("true", "cp /srv/storage/matrix/*.zst /root/back"),
    "restic": (f"{RESTIC} restic init", f"{RESTIC} restic dump latest %s > /root/back"),
    "borg": (f"{BORG} borg init -e repokey", f"{BORG} borg extract --stdout ::$(basename %s) > /root/back"),
}


def programs() -> dict[str, str]:
    """Those of the page, by what they call."""
    found = re.findall(r"```sh\n(#!/bin/sh\n.*?)```", PAGE.read_text(), re.DOTALL)
    named = {name: text for text in found for name in PLACES if re.search(rf"^{name} ", text, re.MULTILINE)}
    assert set(named) == set(PLACES)
    return named


@pytest.mark.parametrize("debian", [13], indirect=True)
def test_what_the_page_says_carries_each_backup_away(site: Site) -> None:
    site.guest.run(STORAGE, timeout=600)
    site.change(backup={"command": PROGRAM})
    site.mb("apply")
    for name, program in programs().items():
        before, after = PLACES[name]
        site.guest.run("rm -rf /srv/storage/matrix /root/back && install -d -o backup -g backup /srv/storage/matrix")
        site.guest.run(before)
        site.guest.write(PROGRAM, program, 0o755)
        site.guest.run("systemctl start matrix-baremetal-backup.service")
        made = site.status()["backup"]["last"]["path"]
        assert site.status()["backup"].get("failed") is None
        site.guest.run(after % made if "%s" in after else after)
        site.guest.run(f"cmp {made} /root/back")
        # A second one, so that what thins them out has something to look at.
        site.guest.run("sleep 1; systemctl start matrix-baremetal-backup.service")
