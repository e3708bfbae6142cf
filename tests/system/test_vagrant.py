"""The Vagrantfile, and the scripts that it runs: two homeservers that talk, with an internet of their own."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Guest, Lab, network
from tests.lab.places import VMS
from tests.system.site import built
from tests.vm import vagrant

REPOSITORY = Path(__file__).parents[2]
RELEASES = {"lab": 13, "one": 12, "two": 13}
# As the Vagrantfile has them.
INTERNET, ONE = "192.168.56.10", "192.168.56.11"
# Somebody else, with that internet's names and roots.
ASK = f"""for root in lab acme; do curl -sS http://{INTERNET}/$root.crt; done > /tmp/roots
curl -sSf --cacert /tmp/roots --connect-to one.test:443:{ONE}:443 https://one.test/.well-known/matrix/server"""


def shown() -> list[str]:
    """The commands that the README shows."""
    return re.findall(r"^    (vagrant .*?)(?: &)?$", (REPOSITORY / "README.md").read_text(), re.MULTILINE)


def inside(command: str) -> tuple[str, str]:
    """The machine and the command of `vagrant ssh MACHINE -c COMMAND`."""
    words = shlex.split(command)
    assert (words[:2], words[3]) == (["vagrant", "ssh"], "-c")
    return words[2], words[4]


def test_vagrant_takes_the_vagrantfile(tmp_path: Path) -> None:
    if shutil.which("vagrant") is None:
        pytest.skip("needs vagrant, which bin/setup installs")
    places = {"VAGRANT_HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")}
    environment = {**os.environ, **places, "VAGRANT_CWD": str(REPOSITORY)}
    for command in (["ruby", "-c", "Vagrantfile"], ["vagrant", "validate"]):
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def guests(request: pytest.FixtureRequest) -> Iterator[dict[str, Guest]]:
    """Bare machines with this tree in the place where Vagrant puts it: all three, or those that the test names."""
    lab, names = Lab(), getattr(request, "param", tuple(RELEASES))
    tracked = subprocess.run(
        ["git", "-c", f"safe.directory={REPOSITORY}", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout
    pack = ["tar", "-C", str(REPOSITORY), "--null", "--ignore-failed-read", "-T", "-", "-c"]
    tree = subprocess.run(pack, input=tracked, capture_output=True, check=True).stdout
    found = {}
    for name in names:
        lab.down(f"vt-{name}")
        found[name] = lab.up(f"vt-{name}", RELEASES[name], bare=True)
        place = found[name].root / "vagrant"
        place.mkdir()
        subprocess.run(["tar", "-C", str(place), "--no-same-owner", "-x"], input=tree, check=True)
    yield found
    for name in names:
        lab.down(f"vt-{name}")


def provision(guest: Guest, *words: str) -> None:
    guest.run(["/vagrant/bin/provision", *words], timeout=900)


@pytest.mark.lab
@pytest.mark.vm
def test_its_scripts_make_two_homeservers_that_talk(guests: dict[str, Guest]) -> None:
    names = [f"{name}.test={guests[name].ip}" for name in ("one", "two")]
    internet = guests["lab"].ip
    sides = [("one", "alice"), ("two", "bob")]
    jobs = [(guests["lab"], "internet", internet, *names)]
    jobs += [(guests[name], "homeserver", f"{name}.test", admin, internet) for name, admin in sides]
    # All at once, as Vagrant does it: who needs the internet waits for it.
    threads = [threading.Thread(target=provision, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (reader, read), (speaker, speak) = map(inside, shown()[1:3])
    reading = guests[reader].popen(read, stdout=subprocess.PIPE)
    said = guests[speaker].run(speak, timeout=300)
    assert said.stdout.endswith("@alice:one.test says: Hello\n")
    assert reading.communicate(timeout=300)[0] == "@alice:one.test: Hello\n"
    # The next ones go into the same room, and nothing is said twice.
    guests["two"].run(["/vagrant/bin/chat", "say", "@alice:one.test", "Hello yourself"], timeout=300)
    answer = guests["one"].run(["/vagrant/bin/chat", "read"], timeout=300).stdout
    assert answer == "@bob:two.test: Hello yourself\n"
    for name, _ in sides:
        guests[name].run(["matrix-baremetal", "plan"])


@pytest.mark.lab
@pytest.mark.vm
def test_what_a_killed_run_left_of_vagrant_is_swept() -> None:
    start = "from tests.vm.vagrant import vagrant\nwith vagrant({}): print('up', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", start], cwd=REPOSITORY, stdin=-1, stdout=-1) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        left = daemons()
        starter.kill()
    assert left
    assert daemons() == left
    vagrant.sweep()
    assert daemons() == set()
    assert not (VMS / "vt-vagrant").exists()
    assert not network.namespace("vt-vagrant").exists()


def daemons() -> set[int]:
    """The libvirtd of ours and those beside it: all that see our network and not this machine's."""
    listed = subprocess.run(
        ["ip", "netns", "pids", network.namespace("vt-vagrant").name], capture_output=True, text=True, check=False
    )
    return {int(pid) for pid in listed.stdout.split()}


@pytest.mark.lab
@pytest.mark.vm
@pytest.mark.long  # a quarter of an hour of one processor: CI has the machines' scripts, and one virtual machine
@pytest.mark.parametrize("guests", [("lab",)], indirect=True, ids=["internet"])
def test_vagrant_up_ends_in_a_homeserver_that_is_ready(tmp_path: Path, guests: dict[str, Guest]) -> None:
    """Emulation is slow: the machine "lab" is a guest here, made by the same script, on the network of Vagrant's."""
    with vagrant.vagrant({"debian/bookworm64": vagrant.box(12, built(tmp_path))}) as here:
        wired = threading.Thread(target=internet, args=(here, guests["lab"]))
        wired.start()
        up_and_ready(here, "one")
        wired.join()
        assert "matrix.one.test:443" in guests["lab"].run(ASK).stdout
        destroyed(here)


def internet(here: vagrant.Vagrant, guest: Guest) -> None:
    """What `vagrant up lab` would make of it."""
    here.wire(guest.name, INTERNET)
    provision(guest, "internet", INTERNET, f"one.test={ONE}")


@pytest.mark.lab
@pytest.mark.vm
@pytest.mark.long
def test_vagrant_up_makes_both_kinds_of_machines(tmp_path: Path) -> None:
    boxes = {"debian/bookworm64": vagrant.box(12, built(tmp_path)), "debian/trixie64": vagrant.box(13)}
    with vagrant.vagrant(boxes) as here:
        up_and_ready(here, "lab", "one")
        assert "matrix.one.test:443" in here.run("ssh", "lab", "-c", ASK).stdout
        destroyed(here)


def up_and_ready(here: vagrant.Vagrant, *machines: str) -> None:
    """As the README says, for some of the machines; the last is a homeserver without a fault."""
    said = here.run(*shown()[0].split()[1:], *machines).stdout
    assert f"{machines[-1]}.test is ready" in said, said
    asked = here.run("ssh", machines[-1], "-c", "sudo matrix-baremetal doctor && cat /etc/debian_version").stdout
    assert "no faults" in asked
    assert asked.splitlines()[-1].startswith(str(RELEASES[machines[-1]]))


def destroyed(here: vagrant.Vagrant) -> None:
    """As the README says, and nothing is left."""
    here.run(*shown()[-1].split()[1:])
    for words in (("list", "--all", "--name"), ("net-list", "--all", "--name"), ("vol-list", "default")):
        assert "one" not in here.call("virsh", *words), words
    assert not (REPOSITORY / ".vagrant").exists()
