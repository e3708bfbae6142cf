"""The cloud-init door in a whole virtual machine: a Debian kernel, a disk, a seed, and nobody at the keyboard.

It is started from an image as `image prepare` makes one, as a build of the virtualenv takes minutes in emulation.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.cloud import LAB, user_data
from tests.vm import Vm, image

pytestmark = [pytest.mark.lab, pytest.mark.vm]
NAME = "vt-cloud"
DOMAIN = "cloud.example.net"
PASSWORD = "a password for the test"
HASH = "$2b$05$xfm6KM.K7cFFSTndo/cIuejxYugh0Dnr3HRw2HT0PO.I4rkWwsAIC"
# Root of this machine looks in by ssh, as an image of a provider would not allow; RSA keys take long in emulation.
CONFIG = f"{LAB}disable_root: false\n".replace("[]", "[ed25519]")
# Runs in the image's root, with the package and the wheels beside it.
PREPARED = """
mkdir "$ROOT/run/wheels"
mount --bind "@WHEELS@" "$ROOT/run/wheels"
cp "@DEB@" "$ROOT/run/package.deb"
chroot "$ROOT" apt-get install -q -y /run/package.deb
chroot "$ROOT" matrix-baremetal image prepare --wheelhouse /run/wheels
cat > "$ROOT/etc/cloud/cloud.cfg.d/90_lab.cfg" <<'EOF'
@CONFIG@EOF
rm -f "$ROOT"/etc/ssh/ssh_host_*
# @DIGEST@
"""


@pytest.fixture
def machine(deb: Path, wheelhouse: Path, tmp_path: Path, debian: int) -> Iterator[Vm]:
    """A machine with its seed, without power."""
    Vm(NAME).down()
    values = {"WHEELS": wheelhouse, "DEB": deb, "CONFIG": CONFIG, "DIGEST": digest(deb)}
    script = PREPARED
    for name, value in values.items():
        script = script.replace(f"@{name}@", str(value))
    prepared = image(debian, packages=["cloud-init"], deb=deb, customize=script)
    vm = Vm(NAME, prepared, ports=(22, 443), drives=[seed(tmp_path)], cmdline="ds=nocloud")
    yield vm
    vm.down()


def digest(deb: Path) -> str:
    """Tells one package from the next, wherever it was built."""
    return hashlib.sha256(deb.read_bytes()).hexdigest()


def seed(place: Path) -> Path:
    """The disk on which a machine finds its user data: the page, with the hash of a password beside."""
    text = user_data(DOMAIN, place).replace("# password_hash", "  password_hash")
    text = text.replace('"$2b$12$..."', f'"{HASH}"')
    assert HASH in text
    (place / "user-data").write_text(text)
    (place / "meta-data").write_text(f"instance-id: {NAME}\nlocal-hostname: cloud\n")
    iso = place / "seed.iso"
    words = ["genisoimage", "-quiet", "-output", str(iso), "-volid", "cidata", "-joliet", "-rock"]
    subprocess.run([*words, "user-data", "meta-data"], cwd=place, check=True)
    return iso


def ask(vm: Vm, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the homeserver answers by way of the forwarded port; nobody vouches for its certificate yet."""
    name = f"matrix.{DOMAIN}"
    words = ["curl", "-sSk", "-m", "60", "--connect-to", f"{name}:443:127.0.0.1:{vm.port(443)}"]
    words += ["--json", "@-"] if body else []
    done = subprocess.run(
        [*words, f"https://{name}{path}"], input=json.dumps(body), capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.sampled(13)
def test_a_virtual_machine_boots_and_a_homeserver_answers(machine: Vm) -> None:
    began = time.monotonic()
    machine.start()
    machine.wait_for("Cloud-init v. ", 120)
    machine.wait_for(f"{DOMAIN} runs, but not all is in place yet,", 420)
    machine.wait_for(" finished at ", 60)
    sys.stderr.write(f"\na virtual machine, from power to a homeserver: {time.monotonic() - began:.0f} s\n")
    # A name that is in no DNS has no certificate: that is said where a provider shows the console, and no failure.
    assert f"the name {DOMAIN} does not resolve yet" in machine.console
    assert "v1.12" in ask(machine, "/_matrix/client/versions")["versions"]
    user = {"type": "m.id.user", "user": "admin"}
    login = {"type": "m.login.password", "identifier": user, "password": PASSWORD}
    assert ask(machine, "/_matrix/client/v3/login", login)["user_id"] == f"@admin:{DOMAIN}"
    machine.wait_for_ssh()
    status = machine.run("cloud-init status --wait --long; matrix-baremetal status", check=False)
    assert "status: done" in status.stdout
    assert f"{DOMAIN} at https://matrix.{DOMAIN}" in status.stdout
    machine.stop()
