"""Guests of a cloud: they find their user data beside them at boot (cloud-init's NoCloud), and nobody logs in."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

from tests.lab import Guest
from tests.lab.guest import Completed

TREE = Path(__file__).parents[2]
USER_DATA = TREE / "docs/cloud-init.yaml"
# What would only take its time here, or comes from makers whom the lab does not reach.
BESIDE = ("      web_client: {kind: element}\n", "      admin_ui: {enabled: true}\n", "      turn: {enabled: true}\n")
SEED = "/var/lib/cloud/seed/nocloud"
LOG = "/var/log/cloud-init-output.log"
SCRIPT = "/var/lib/cloud/scripts/per-boot/matrix-baremetal"
# What Debian's cloud images have and the lab's guests have not: locales, and a server whose ssh keys are to be made.
LAB = "locale: C.UTF-8\nssh_genkeytypes: []\n"


def readme() -> list[str]:
    """What the README has its reader type for this door."""
    text = (TREE / "README.md").read_text().split("## Install it from cloud-init")[1].split("\n## ")[0]
    commands = re.findall(r"^    (\S.*)$", text, re.MULTILINE)
    assert 2 <= len(commands) <= 6
    return commands


def user_data(server_name: str, place: Path) -> str:
    """docs/cloud-init.yaml with its two places changed, as the README's first commands do it; without `BESIDE`."""
    (place / "docs").symlink_to(TREE / "docs")
    subprocess.run(["sh", "-ec", readme()[0].replace("my.domain", server_name)], cwd=place, check=True)
    text = (place / "user-data").read_text()
    (place / "docs").unlink()
    changed = [line for line in text.splitlines() if line not in USER_DATA.read_text().splitlines()]
    assert len(changed) == 2
    assert all("<--" in line for line in changed)
    for line in BESIDE:
        assert text.count(line) == 1
        text = text.replace(line, "")
    return text


def install(guest: Guest) -> None:
    """cloud-init, as an image has it; it sleeps as long as there is no user data."""
    guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends cloud-init", timeout=900)
    guest.write("/etc/cloud/cloud.cfg.d/90_lab.cfg", LAB)


def seed(guest: Guest, text: str, instance: str) -> None:
    """Let the next boot be the first one of an instance that was given this user data."""
    guest.write(f"{SEED}/user-data", text)
    guest.write(f"{SEED}/meta-data", f"instance-id: {instance}\nlocal-hostname: {guest.name}\n")
    checked = guest.run(f"cd {SEED} && {readme()[1]}")
    assert "alid" in checked.stdout + checked.stderr
    assert "Invalid" not in checked.stdout + checked.stderr


def restart(guest: Guest) -> None:
    """Restart it from inside, which nobody waits for."""
    (guest.root / LOG[1:]).unlink(missing_ok=True)
    guest.quick("systemctl", "reboot", "--no-block")


def wait_for(guest: Guest, text: str, seconds: float = 240) -> str:
    """Wait until cloud-init's log has a line that matches, without asking the guest; what the log says by then."""
    end = time.monotonic() + seconds
    while True:
        log = guest.root / LOG[1:]
        said = log.read_text(errors="replace") if log.exists() else ""
        if re.search(text, said, re.MULTILINE):
            return said
        assert time.monotonic() < end, f"{text!r} was not said within {seconds} s:\n{said[-3000:]}"
        time.sleep(0.1)


def ended(guest: Guest, status: int) -> Completed:
    """What `cloud-init status` says once all is over; its exit status has to be this one."""
    done = guest.run(readme()[2], check=False)
    assert done.returncode == status, f"{done.stdout}\n{guest.read(LOG)[-4000:]}"
    assert f"status: {'error' if status else 'done'}" in done.stdout
    return done
