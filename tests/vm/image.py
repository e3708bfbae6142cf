"""Disks for virtual machines, made of Debian packages and kept by a hash of what went in.

A disk is one ext4 file system without a partition table or a boot loader: qemu starts its kernel from beside it. It
stands on the lab's base, so it has this machine's package sources, pip settings and trusted roots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab import layers
from tests.lab.places import CACHE, lock
from tests.lab.programs import call, say

# Without a network manager of another kind, networkd asks for an address; qemu's own resolver is at 10.0.2.3.
PACKAGES = ("linux-image-cloud-amd64", "initramfs-tools", "udev", "openssh-server")
SIZE = "8G"
KEY = CACHE / "vm-key"
# What a disk of ours needs to be found; all modules there are would take twenty seconds to unpack in emulation.
_MODULES = "virtio_pci\\nvirtio_blk\\next4\\n"
_MAKE = f"""
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > "$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
mkdir -p "$ROOT/etc/initramfs-tools/conf.d"
printf '{_MODULES}' > "$ROOT/etc/initramfs-tools/modules"
echo MODULES=list > "$ROOT/etc/initramfs-tools/conf.d/modules"
chroot "$ROOT" apt-get update -q
# shellcheck disable=SC2086
chroot "$ROOT" apt-get install -q -y --no-install-recommends $PACKAGES
rm -f "$ROOT"/var/cache/apt/archives/*.deb
# What apt knows of its lists it need not find out anew in emulation.
chroot "$ROOT" apt-cache gencaches
rm "$ROOT/usr/sbin/policy-rc.d"
mkdir -p "$OUT"
cp "$ROOT"/boot/vmlinuz-* "$OUT/vmlinuz"
cp "$ROOT"/boot/initrd.img-* "$OUT/initrd"
mkdir -p "$ROOT/root/.ssh" "$ROOT/etc/systemd/network"
cp "$KEY.pub" "$ROOT/root/.ssh/authorized_keys"
printf '[Match]\\nName=e*\\n[Network]\\nDHCP=yes\\n' > "$ROOT/etc/systemd/network/80-dhcp.network"
chroot "$ROOT" systemctl enable -q systemd-networkd
echo '/dev/vda / ext4 errors=remount-ro 0 1' > "$ROOT/etc/fstab"
echo debian > "$ROOT/etc/hostname"
printf '127.0.0.1 localhost\\n127.0.1.1 debian\\n::1 localhost\\n' > "$ROOT/etc/hosts"
: > "$ROOT/etc/machine-id"
(eval "$CUSTOMIZE")
umount -R "$ROOT/proc" "$ROOT/dev" "$ROOT/run"
if mountpoint -q "$ROOT/etc/resolv.conf"; then umount "$ROOT/etc/resolv.conf"; fi
[ -L "$ROOT/etc/resolv.conf" ] || echo 'nameserver 10.0.2.3' > "$ROOT/etc/resolv.conf"
truncate -s {SIZE} "$OUT/root.raw"
mke2fs -q -F -t ext4 -d "$ROOT" "$OUT/root.raw"
"""


@dataclass(frozen=True)
class Image:
    """A disk that virtual machines stand on, each with what it changes kept apart."""

    home: Path

    @property
    def disk(self) -> Path:
        return self.home / "root.raw"

    @property
    def kernel(self) -> Path:
        return self.home / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.home / "initrd"


def image(debian: int, packages: Sequence[str] = (), deb: Path | None = None, customize: str = "") -> Image:
    """The image of a Debian with these packages; made now, in one or two minutes, if there is none.

    deb: what this package depends on is installed as well, and it itself is not. customize: a shell script that
    runs as root of this machine, with the image's root in $ROOT, after all packages are in.
    """
    stack = [layers.base(debian)]
    if deb:
        stack.insert(0, layers.dependencies(stack[0], deb))
    key()

    def make(draft: Path) -> None:
        say(f"making a disk with Debian {debian} for virtual machines (once)")
        names = " ".join((*PACKAGES, *packages))
        out = draft / "out"
        layers.above(stack, draft, _MAKE, PACKAGES=names, OUT=str(out), KEY=str(KEY), CUSTOMIZE=customize or ":")
        layers.remove(draft / "fs")
        out.replace(draft / "fs")
        say("the disk is there")

    recipe = [list(map(str, stack)), _MAKE, PACKAGES, list(packages), customize, KEY.with_suffix(".pub").read_text()]
    return Image(layers.kept(f"vm{debian}", recipe, make))


def key() -> Path:
    """The key with which root of this machine may log in to its virtual machines; made once."""
    with lock("vm-key"):
        if not KEY.with_suffix(".pub").exists():
            KEY.unlink(missing_ok=True)
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(KEY))
    return KEY
