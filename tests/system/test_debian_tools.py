"""What Debian's own testers say of the package: piuparts, and autopkgtest over ssh."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.lab import Lab, layers
from tests.system.test_package import unpack_tree

pytestmark = [pytest.mark.lab, pytest.mark.own_guests]
# Not of our package: where debconf of Debian 13 unpacks questions, and a link of its systemd without a target, which
# postgresql-common removes. Older versions of piuparts don't know them.
THEIRS = ("--ignore=/var/cache/debconf/tmp.ci/", "--ignore=/etc/default/locale")


@pytest.mark.sampled(12)
def test_piuparts_finds_nothing_left(deb: Path, debian: int, tmp_path: Path) -> None:
    """Installed, removed and purged on a plain Debian, strictly: what is left is a failure and no warning."""
    base = tmp_path / "base.tar.gz"
    packed = f"tar -C {layers.base(debian)} -c . | gzip -1 > {base}"
    subprocess.run(["sh", "-c", packed], check=True)
    options = ["-b", str(base), "-d", layers.SUITES[debian], "--no-eatmydata", "--keep-sources-list", *THEIRS]
    done = subprocess.run(["piuparts", *options, str(deb)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "\n".join(done.stdout.splitlines()[-60:])
    assert "PASS: All tests." in done.stdout


@pytest.mark.long
def test_autopkgtest_passes_over_ssh(lab: Lab, deb: Path, debian: int, tmp_path: Path) -> None:
    """All of debian/tests, the full install too."""
    name = f"st-autopkgtest{debian}"
    lab.down(name)
    guest = lab.up(name, debian, bare=True)
    try:
        unpack_tree(guest)
        guest.get("/srv/tree", tmp_path / "tree")
        guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends openssh-server dpkg-dev")
        key = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        guest.write("/root/.ssh/authorized_keys", key.with_suffix(".pub").read_text(), 0o600)
        guest.run("systemctl start ssh")
        ssh = ["ssh", "-H", guest.ip, "-l", "root", "-i", str(key), "--capability=isolation-container"]
        words = ["autopkgtest", "--no-built-binaries", str(deb), f"{tmp_path}/tree/", "--"]
        command = [*words, *ssh, "--capability=root-on-testbed"]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    finally:
        lab.down(name)
    summary = dict(re.findall(r"^(smoke|unit|install) +(PASS|FAIL|SKIP)", done.stdout, re.MULTILINE))
    assert summary == dict.fromkeys(("smoke", "unit", "install"), "PASS"), done.stdout[-6000:] + done.stderr[-3000:]
