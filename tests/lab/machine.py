"""A guest's hardware: its disk, its place on the network, its power.

The disk is an overlay; the machine is a systemd-nspawn container with a cgroup of its own (two that share one break
each other). What a killed run left is found by the cgroup, the namespace and the mount, which carry the guest's name.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import infra, layers, network
from .errors import LabError
from .places import DISKS, PREFIX, RUN, read_json, write_json
from .programs import Process, call, daemon, wait_for

_CGROUPS = Path("/sys/fs/cgroup")
# Where nspawn mounts a directory for a guest's sockets from systemd 256 on; one that was killed leaves it, and the
# next one of that name refuses to start.
_EXPORTED = Path("/run/systemd/nspawn/unix-export")
_ENTER = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")
# nspawn ends with 133 when the guest restarts itself.
_SUPPLY = 'while "$@"; [ $? = 133 ]; do :; done'
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}


@dataclass
class Disk:
    """What is known of a guest whether it has power or not; kept beside its files."""

    name: str
    octet: int
    debian: int
    bare: bool
    lower: str | None = None
    deb: str | None = None
    layers: tuple[str, ...] = ()
    binds: tuple[tuple[str, str], ...] = ()
    installed: bool = False

    @classmethod
    def read(cls, name: str) -> Disk | None:
        kept = read_json(DISKS / name / "guest.json")
        if not kept:
            return None
        return cls(**{**kept, "layers": tuple(kept["layers"]), "binds": tuple((a, b) for a, b in kept["binds"])})

    def write(self) -> None:
        write_json(self.home / "guest.json", asdict(self))

    @property
    def home(self) -> Path:
        return DISKS / self.name

    @property
    def root(self) -> Path:
        return self.home / "root"


def names() -> list[str]:
    """Every guest that has a disk."""
    return sorted(path.parent.name for path in DISKS.glob("*/guest.json"))


def _cgroups(name: str) -> list[Path]:
    """The control groups of a guest: one where the machine has but cgroup v2, two where it has both."""
    if (_CGROUPS / "cgroup.controllers").exists():
        scope = _CGROUPS / "system.slice" / f"{PREFIX}-{name}.scope"
        return [scope if _host_has_systemd() else _CGROUPS / f"{PREFIX}-{name}"]
    return [path / f"{PREFIX}-{name}" for path in (_CGROUPS / "systemd", _CGROUPS / "unified") if path.exists()]


def _host_has_systemd() -> bool:
    return Path("/run/systemd/system").exists()


def _pids(cgroup: Path) -> set[int]:
    found: set[int] = set()
    for path in (cgroup, *cgroup.rglob("*")) if cgroup.exists() else ():
        if path.name == "cgroup.procs":
            found.update(int(pid) for pid in path.read_text().split())
    return found


def units(name: str, pattern: str) -> list[str]:
    """Units of a guest that run, by their control groups: no question to the guest, so it costs nothing."""
    return [path.name for path in _cgroups(name)[0].rglob(pattern)]


def mounted(path: Path) -> bool:
    return f" {path} " in Path("/proc/self/mounts").read_text()


def power(name: str) -> Process | None:
    """The process that supplies a guest with power."""
    known = Process.read(RUN / "guests" / f"{name}.json")
    return known if known and known.alive else None


def leader(name: str) -> int | None:
    """The guest's PID 1 as this machine sees it; another one after each of the guest's own reboots."""
    running = power(name)
    for pid in _below(running.pid) if running else ():
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ids = next((line.split() for line in status.splitlines() if line.startswith("NSpid:")), [])
        if len(ids) > 2 and ids[-1] == "1":
            return pid
    return None


def _below(pid: int) -> list[int]:
    """The processes that a process started, and those that they started: of a guest's supply, nspawn and PID 1."""
    children = _children(pid)
    return [*children, *(each for child in children for each in _children(child))]


def _children(pid: int) -> list[int]:
    """What a process of one thread has started (proc(5)): asked before each command in a guest, so quickly."""
    try:
        return [*map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    except (FileNotFoundError, ProcessLookupError):
        return []


def enter(name: str, *argv: str) -> list[str]:
    """The command that runs `argv` in a guest, quickly: in its namespaces, but not in a cgroup of it."""
    pid = leader(name)
    if pid is None:
        raise LabError(f"{name} has no power", f"run: bin/lab up {name}")
    variables = [f"{key}={value}" for key, value in ENVIRONMENT.items()]
    return ["nsenter", "-t", str(pid), *_ENTER, "env", "-i", *variables, *argv]


def mount(disk: Disk) -> None:
    """Put the layers on top of each other. Volatile: the disk lives in this machine's memory and need not sync."""
    if mounted(disk.root):
        return
    gone = next((layer for layer in disk.layers if not Path(layer).exists()), None)
    if gone:
        raise LabError(f"{disk.name} stands on a layer that is gone: {gone}", f"run: bin/lab down {disk.name}")
    for name in ("upper", "work", "root"):
        (disk.home / name).mkdir(parents=True, exist_ok=True)
    shutil.rmtree(disk.home / "work/work/incompat", ignore_errors=True)
    lower = ":".join(disk.layers)
    options = f"lowerdir={lower},upperdir={disk.home}/upper,workdir={disk.home}/work,volatile"
    call("mount", "-t", "overlay", f"{PREFIX}-{disk.name}", "-o", options, str(disk.root))


def _settle_in(disk: Disk) -> None:
    """What a provider writes into a machine before it first starts: its name, identity and resolver."""
    etc = disk.root / "etc"
    identity = etc / "machine-id"
    if len(identity.read_text().strip() if identity.exists() else "") != 32 or not (disk.home / "settled").exists():
        identity.write_text(hashlib.md5(os.urandom(16), usedforsecurity=False).hexdigest() + "\n")
        (etc / "hosts").write_text(f"127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {disk.name}\n")
        (etc / "hostname").write_text(disk.name + "\n")
        (disk.home / "settled").touch()
    resolver = etc / "resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.write_text(f"nameserver {network.ip4(network.INFRA)}\n")


def _nspawn(disk: Disk, space: Path) -> list[str]:
    """The command that boots the guest in a cgroup of its own."""
    options = ["--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe", "--resolv-conf=off"]
    options += ["--timezone=off", "--link-journal=no", f"--network-namespace-path={space}"]
    # With a network of its own a machine rules over it; nspawn allows that only to networks that it made itself.
    options += ["--capability=CAP_NET_ADMIN"]
    options += [f"--bind-ro={source}:{target}" for source, target in disk.binds]
    nspawn = [
        "systemd-nspawn",
        *options,
        "-D",
        str(disk.root),
        "-M",
        f"{PREFIX}-{disk.name}",
        f"--hostname={disk.name}",
    ]
    if _host_has_systemd():
        return [
            "systemd-run",
            "--scope",
            "--collect",
            "-q",
            "-p",
            "Delegate=yes",
            f"--unit={PREFIX}-{disk.name}",
            *nspawn,
        ]
    groups = _cgroups(disk.name)
    for group in groups:
        group.mkdir(exist_ok=True)
    join = 'while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs"; shift; done; shift; exec "$@"'
    return ["sh", "-c", join, "lab", *map(str, groups), "--", *nspawn]


def power_on(disk: Disk) -> None:
    """Boot, and wait until the guest is up."""
    mount(disk)
    space = network.plug(disk.name, disk.octet)
    _settle_in(disk)
    if not layers.trusts(disk.root, infra.roots()):
        layers.give_trust(disk.root, infra.roots())
        call("chroot", str(disk.root), "update-ca-certificates")
    console = disk.home / "console.log"
    env = {**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
    daemon(["sh", "-c", _SUPPLY, "lab", *_nspawn(disk, space)], console, env).write(
        RUN / "guests" / f"{disk.name}.json"
    )
    wait_until_up(disk.name)


def wait_until_up(name: str) -> None:
    console = DISKS / name / "console.log"

    def listens() -> bool:
        if power(name) is None:
            tail = "\n".join(console.read_text(errors="replace").splitlines()[-15:])
            raise LabError(f"{name} did not boot:\n{tail}", f"the whole console is {console}")
        pid = leader(name)
        return pid is not None and Path(f"/proc/{pid}/root/run/systemd/private").exists()

    wait_for(listens, f"the boot of {name}", 60, f"see {console}")
    # A unit that takes for ever must not keep us out: after a minute the guest counts as up. Asked again, as the
    # question fails while the guest's bus is not there yet.
    end = time.monotonic() + 60
    while time.monotonic() < end:
        asked = subprocess.run(
            enter(name, "timeout", "60", "systemctl", "is-system-running", "--wait"),
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.stdout.strip() in ("running", "degraded", "maintenance"):
            return
        time.sleep(0.03)


def power_off(name: str) -> None:
    """A clean shutdown, as by the power button."""
    running, pid = power(name), leader(name)
    if running and pid:
        os.kill(pid, signal.SIGRTMIN + 4)
        wait_for(lambda: not running.alive, f"the shutdown of {name}", 120, f"run: bin/lab kill {name}")
    pull_plug(name)


def pull_plug(name: str) -> None:
    """All that a guest is besides its disk is gone after this, whatever state it was in."""
    running = power(name)
    if running:
        below = [Process.of(pid) for pid in _below(running.pid)]
        for each in (running, *reversed(below)):
            each.kill()
    groups = _cgroups(name)
    for left in set().union(*map(_pids, groups)):
        Process.of(left).kill()
    root = DISKS / name / "root"
    while mounted(root):
        call("umount", "--lazy", "--recursive", str(root))
    exported = _EXPORTED / f"{PREFIX}-{name}"
    if exported.exists():
        call("umount", "--lazy", str(exported), check=False)
        exported.rmdir()
    network.unplug(name)
    for group in groups:
        for path in (*sorted(group.rglob("*"), reverse=True), group) if group.exists() else ():
            if path.is_dir():
                path.rmdir()
    (RUN / "guests" / f"{name}.json").unlink(missing_ok=True)


def remains() -> Sequence[str]:
    """Guests without power of which more than the disk is there: a killed run's, or they shut down by themselves."""
    parts = {name for name in network.namespaces() if name not in ("infra", "client")}
    parts |= {name for name in names() if mounted(DISKS / name / "root")}
    groups = _cgroups("*")
    parts |= {
        path.name.removeprefix(f"{PREFIX}-").removesuffix(".scope") for g in groups for path in g.parent.glob(g.name)
    }
    return sorted(name for name in parts if power(name) is None)
