"""A virtual machine boots, answers, and leaves nothing when a run is killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.places import PREFIX, VMS
from tests.vm import Vm, image

pytestmark = [pytest.mark.lab, pytest.mark.vm]
REPOSITORY = Path(__file__).parents[2]
START = "from tests.vm import Vm; Vm('vt-vm').start(); print('started', flush=True); input()"


def running() -> str:
    """The qemu of our machine, by what it is called: no note of ours is asked."""
    found = subprocess.run(
        ["pgrep", "-f", "--", f"-name {PREFIX}-vm-vt-vm "], capture_output=True, text=True, check=False
    )
    return found.stdout


@pytest.mark.long
@pytest.mark.parametrize("debian", [12, 13])
def test_a_virtual_machine_boots_answers_and_leaves_nothing(debian: int, tmp_path: Path) -> None:
    Vm("vt-vm").down()
    (tmp_path / "seed").write_text("a drive\n")
    vm = Vm("vt-vm", image(debian, packages=["rsync"]), drives=[tmp_path / "seed"])
    vm.start()
    vm.kill()
    # What started it is killed before anything was noted; its qemu has the disk that we want.
    with subprocess.Popen([sys.executable, "-c", START], cwd=REPOSITORY, stdin=-1, stdout=-1) as starter:
        assert starter.stdout is not None
        starter.stdout.readline()
        starter.kill()
    (vm.home / "qemu.json").unlink()
    left = running()
    vm.start()
    assert left not in ("", running())
    assert len(running().split()) == 1
    vm.wait_for("login:", 300)
    vm.wait_for_ssh()
    assert vm.run("cat /etc/debian_version").stdout.startswith(str(debian))
    assert vm.run("systemctl is-system-running --wait").stdout == "running\n"
    assert vm.run("head -c 8 /dev/vdb; command -v rsync").stdout == "a drive\n/usr/bin/rsync\n"
    # It reaches the package registries.
    vm.run("curl -sSf $(apt-get indextargets --format '$(REPO_URI)dists/$(RELEASE)/InRelease' | sed 1q)")
    vm.stop()
    assert running() == ""
    vm.down()
    assert not (VMS / "vt-vm").exists()
