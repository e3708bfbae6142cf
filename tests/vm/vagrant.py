"""A host for `vagrant up` on this machine, where no systemd, no libvirtd and no KVM need be.

It is a set of namespaces: libvirtd in it has its own /etc/libvirt, /var/lib/libvirt and /run, a network that leads
out by the lab's bridge, and processes that all end with the first one, so nothing of it outlives a killed run but
files. The boxes are made of Debian packages and have the public ones' names. What emulation needs is told to Vagrant
by the box, as the Vagrantfile is the one that people use.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.lab import client, infra, layers, network
from tests.lab.places import REPOSITORY, VMS, lock
from tests.lab.programs import call, daemon, say, wait_for

from .image import image
from .vm import end_of

_NAME = "vt-vagrant"
_KEY = Path("/usr/share/rubygems-integration/all/gems")
_LIBVIRTD = 'auth_unix_rw = "none"\nauth_unix_ro = "none"\nunix_sock_group = "root"\n'
_QEMU = """user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
remember_owner = 0
"""
# $1 is the mark by which a killed run's is found, $2 where the files are.
_HOST = """
set -e
mount --make-rprivate /
mount --bind "$2/etc" /etc/libvirt
mount --bind "$2/lib" /var/lib/libvirt
mount --bind "$2/cache" /var/cache/libvirt
mount -t tmpfs tmpfs /run
virtlogd -d
libvirtd -d
while :; do sleep 3600 & wait; done
"""
# Vagrant's own box convention: the user vagrant, a key that everybody knows, sudo without a password.
_BOX = """
chroot "$ROOT" useradd -m -s /bin/bash vagrant
mkdir -m 700 "$ROOT/home/vagrant/.ssh"
cp {key} "$ROOT/home/vagrant/.ssh/authorized_keys"
chroot "$ROOT" chown -R vagrant: /home/vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' > "$ROOT/etc/sudoers.d/vagrant"
umount "$ROOT/etc/resolv.conf" || :
echo 'nameserver {resolver}' > "$ROOT/etc/resolv.conf"
"""
_VAGRANTFILE = """
Vagrant.configure("2") do |config|
  config.vm.boot_timeout = 600
  config.ssh.insert_key = false
  config.vm.provider "libvirt" do |provider|
    provider.driver = "qemu"
    provider.cpu_mode = "custom"
    provider.cpu_model = "qemu64"
    provider.graphics_type = "none"
    provider.kernel = "{kernel}"
    provider.initrd = "{initrd}"
    provider.cmd_line = "console=ttyS0 root=/dev/vda rw net.ifnames=0 mitigations=off"
  end
end
"""


def build_packages() -> tuple[str, ...]:
    """What debian/control wants for a build without tests."""
    text = (REPOSITORY / "debian/control").read_text()
    wanted = re.search(r"^Build-Depends:(.*?)^\S", text, re.DOTALL | re.MULTILINE)
    assert wanted
    names = [row.strip() for row in wanted[1].split(",") if row.strip() and "<!nocheck>" not in row]
    plain = {"debhelper" if "debhelper-compat" in row else row.split()[0] for row in names}
    return tuple(sorted({"build-essential"} | {name for name in plain if not name.startswith("dh-sequence")}))


def box(debian: int, deb: Path | None = None) -> Path:
    """A box as Vagrant adds it from a file.

    deb: its dependencies, and what a build of it needs, are in the box, as apt takes long in emulation.
    """
    found = next(_KEY.glob("vagrant-[0-9]*/keys/vagrant.pub"))
    customize = _BOX.format(key=found, resolver=network.ip4(network.INFRA))
    made = image(debian, ["rsync", "sudo", *(build_packages() if deb else ())], deb, customize)

    def make(draft: Path) -> None:
        say(f"making a box with Debian {debian} (once)")
        home = draft / "fs"
        home.mkdir()
        call("qemu-img", "convert", "-O", "qcow2", str(made.disk), str(draft / "box.img"))
        (draft / "metadata.json").write_text(
            json.dumps({"provider": "libvirt", "format": "qcow2", "virtual_size": 8})
        )
        (draft / "Vagrantfile").write_text(_VAGRANTFILE.format(kernel=made.kernel, initrd=made.initrd))
        call("tar", "-C", str(draft), "-cf", str(home / "debian.box"), "metadata.json", "Vagrantfile", "box.img")
        (draft / "box.img").unlink()
        say("the box is there")

    return layers.kept(f"box{debian}", [str(made.home), _VAGRANTFILE], make) / "debian.box"


class Vagrant:
    """Vagrant on this machine, with boxes called as the public ones; made by `vagrant`."""

    def __init__(self, home: Path, within: int) -> None:
        self.home, self.within = home, within

    @property
    def environment(self) -> Mapping[str, str]:
        own = {"VAGRANT_HOME": self.home / "vagrant", "VAGRANT_DOTFILE_PATH": self.home / "dot", "HOME": self.home}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAGRANT_", "LIBVIRT_"))}
        named = {"VAGRANT_DEFAULT_PROVIDER": "libvirt", "VAGRANT_CWD": str(REPOSITORY), "VAGRANT_NO_COLOR": "1"}
        return {**kept, **named, **{name: str(path) for name, path in own.items()}}

    def argv(self, *words: str) -> list[str]:
        """A command that runs beside libvirtd."""
        return ["nsenter", "-t", str(self.within), "-m", "-n", "-p", "--", *words]

    def run(self, *words: str, check: bool = True, timeout: float = 1800) -> subprocess.CompletedProcess[str]:
        """`vagrant` with these words; what it says also goes to its log as it comes."""
        log = self.home / "vagrant.log"
        with log.open("a") as file:
            start = file.tell()
            done = subprocess.run(
                self.argv("vagrant", *words),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                timeout=timeout,
                check=False,
                cwd="/",
            )
        said = log.read_bytes()[start:].decode(errors="replace")
        assert not check or done.returncode == 0, said
        return subprocess.CompletedProcess(words, done.returncode, said, "")

    def call(self, *words: str) -> str:
        """Another program beside libvirtd, as virsh or ip."""
        return call(*self.argv(*words))

    def wire(self, name: str, address: str) -> None:
        """Put a guest of the lab's on the network of Vagrant's machines, once there is one."""
        outside, inside = (("ip", "-n", network.namespace(each).name) for each in (_NAME, name))
        bridge = list[str]()

        def there() -> bool:
            shown = call(*outside, "-4", "-o", "address", "show", "to", f"{address}/24")
            bridge[:] = re.findall(r"^\d+: (\S+)", shown, re.MULTILINE)
            time.sleep(0 if bridge else 0.5)
            return bool(bridge)

        wait_for(there, "the network of Vagrant's machines", 300, f"see {self.home}/vagrant.log")
        peer = ("peer", "name", "private0", "netns", inside[-1])
        call(*outside, "link", "add", "private0", "type", "veth", *peer)
        call(*outside, "link", "set", "private0", "master", bridge[0], "up")
        call(*inside, "address", "add", f"{address}/24", "dev", "private0")
        call(*inside, "link", "set", "private0", "up")


@contextlib.contextmanager
def vagrant(boxes: Mapping[str, Path]) -> Iterator[Vagrant]:
    """Vagrant with these boxes, by their names; all of it is gone afterwards, and what a killed run left before."""
    # Nobody takes its place in the lab's network for a guest's without power while this is held.
    with lock(f"guest-{_NAME}"):
        sweep()
        try:
            here = _start()
            for name, path in boxes.items():
                here.run("box", "add", "--name", name, str(path))
            yield here
        finally:
            sweep()


def sweep() -> None:
    """End all of it and remove its files; none is fine."""
    end_of(f"{_NAME}-host")
    network.unplug(_NAME)
    shutil.rmtree(VMS / _NAME, ignore_errors=True)


def _start() -> Vagrant:
    home = VMS / _NAME
    for name in ("etc", "lib/images", "cache", "vagrant"):
        (home / name).mkdir(parents=True)
    shutil.copytree("/etc/libvirt", home / "etc", dirs_exist_ok=True, symlinks=True)
    (home / "etc/libvirtd.conf").write_text(_LIBVIRTD)
    (home / "etc/qemu.conf").write_text(_QEMU)
    shutil.rmtree(home / "etc/qemu/networks", ignore_errors=True)
    with lock("lab"):
        infra.up()
        client.prepare()
        space = network.plug(_NAME, network.VAGRANT)
    unshared = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
    program = ("bash", "-c", _HOST, f"{_NAME}-host", f"{_NAME}-host", str(home))
    started = daemon(["nsenter", f"--net={space}", "--", *unshared, *program], home / "host.log")
    socket = "run/libvirt/libvirt-sock"

    def first() -> int | None:
        found = call("pgrep", "-P", str(started.pid), check=False).split()
        return int(found[0]) if found else None

    def ready() -> bool:
        pid = first()
        assert started.alive, (home / "host.log").read_text()
        return pid is not None and Path(f"/proc/{pid}/root/{socket}").exists()

    wait_for(ready, "libvirtd", 30, f"see {home}/host.log")
    return Vagrant(home, first() or 0)
