"""A virtual machine: qemu in software emulation, as where tests run there is often no KVM that boots a guest.

    vm = Vm("vt-one", image(13), ports=(22, 443))
    vm.start()
    vm.wait_for_ssh()
    vm.run("systemctl is-system-running --wait")
    vm.down()

It reaches the world as any program of this machine does (its own address is 10.0.2.15, this machine is 10.0.2.2), and
is reached at ports of 127.0.0.1 that qemu forwards.
"""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.lab.errors import CommandFailed, CommandTimeout, LabError
from tests.lab.places import PREFIX, VMS, lock, read_json, write_json
from tests.lab.programs import Process, call, daemon, wait_for

from .image import Image, key

Completed = subprocess.CompletedProcess[str]
_MACHINE = ("-M", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max", "-nodefaults", "-no-user-config")
_CMDLINE = "console=ttyS0 root=/dev/vda rw net.ifnames=0 mitigations=off systemd.show_status=1"


def names() -> list[str]:
    """Every virtual machine that has a disk, with or without power."""
    return sorted(path.name for path in VMS.glob("*"))


class Vm:
    """One virtual machine by its name. A name that exists is taken over with the disk that it has."""

    def __init__(
        self,
        name: str,
        image: Image | None = None,
        *,
        memory: int = 2048,
        processors: int = 2,
        ports: Sequence[int] = (22,),
        drives: Sequence[Path] = (),
        cmdline: str = "",
        within: Sequence[str] = (),
    ) -> None:
        """image: what a new disk stands on. memory: MiB. ports: of the machine, each reached at `port(N)`.

        drives: further disks, read-only, as the ISO of a cloud-init seed. cmdline: more words for the kernel.
        within: a command that qemu is started by, as one that enters a network namespace.
        """
        self.name, self.image, self.memory, self.processors = name, image, memory, processors
        self.ports, self.drives, self.cmdline, self.within = ports, drives, cmdline, within
        self.home = VMS / name

    @property
    def console(self) -> str:
        """All that the machine has said on its serial line since it was last started."""
        path = self.home / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def process(self) -> Process | None:
        """The qemu that runs it."""
        found = Process.read(self.home / "qemu.json")
        return found if found and found.alive else None

    @property
    def alive(self) -> bool:
        return self.process is not None

    def port(self, number: int) -> int:
        """Where on 127.0.0.1 this machine finds a port of the virtual one; another one after each start."""
        return int((read_json(self.home / "ports.json") or {})[str(number)])

    def start(self) -> None:
        """Give it power; returns at once. One that has power already is left alone."""
        with lock(f"vm-{self.name}"):
            if self.alive:
                return
            self._end()
            self.home.mkdir(parents=True, exist_ok=True)
            if not (self.home / "disk.qcow2").exists():
                self._make_disk()
            write_json(self.home / "ports.json", {number: free_port() for number in self.ports})
            (self.home / "console.log").unlink(missing_ok=True)
            daemon([*self.within, *self._argv()], self.home / "qemu.log").write(self.home / "qemu.json")

    def _make_disk(self) -> None:
        if self.image is None:
            raise LabError(f"there is no virtual machine {self.name}")
        draft = self.home / "disk.new"
        stands_on = ("-b", str(self.image.disk), "-F", "raw")
        call("qemu-img", "create", "-q", "-f", "qcow2", *stands_on, str(draft))
        for source in (self.image.kernel, self.image.initrd):
            shutil.copy(source, self.home / source.name)
        draft.replace(self.home / "disk.qcow2")

    def _argv(self) -> list[str]:
        """The command that is the machine."""
        forwards = "".join(f",hostfwd=tcp:127.0.0.1:{self.port(number)}-:{number}" for number in self.ports)
        words = ["qemu-system-x86_64", "-name", f"{PREFIX}-vm-{self.name}", *_MACHINE]
        words += ["-m", str(self.memory), "-smp", str(self.processors), "-display", "none"]
        words += ["-kernel", str(self.home / "vmlinuz"), "-initrd", str(self.home / "initrd")]
        words += ["-append", f"{_CMDLINE} {self.cmdline}".strip(), "-serial", f"file:{self.home / 'console.log'}"]
        # The disk lives as long as a test: nothing is gained by its reaching the platter.
        words += ["-drive", f"file={self.home / 'disk.qcow2'},if=virtio,cache=unsafe"]
        for drive in self.drives:
            words += ["-drive", f"file={drive},if=virtio,format=raw,readonly=on"]
        words += ["-netdev", f"user,id=n0{forwards}", "-device", "virtio-net-pci,netdev=n0,romfile="]
        words += ["-device", "virtio-rng-pci", "-monitor", f"unix:{self.home / 'monitor'},server=on,wait=off"]
        return words

    def wait_for(self, text: str, seconds: float) -> None:
        """Wait until the machine has said `text` on its serial line."""

        def said() -> bool:
            if text in self.console:
                return True
            if not self.alive:
                log = (self.home / "qemu.log").read_text(errors="replace")
                raise LabError(f"{self.name} ended before it said {text!r}:\n{self._tail()}\n{log}")
            return False

        wait_for(said, f"{text!r} of {self.name}", seconds, f"its console is {self.home / 'console.log'}")

    def wait_for_ssh(self, seconds: float = 180) -> None:
        """Wait until root can log in."""

        def answers() -> bool:
            if not self.alive:
                raise LabError(f"{self.name} has no power:\n{self._tail()}")
            return self.run(["true"], check=False, timeout=30).returncode == 0

        wait_for(answers, f"a log-in at {self.name}", seconds, f"its console is {self.home / 'console.log'}")

    def run(
        self, command: Sequence[str] | str, check: bool = True, input: str | None = None, timeout: float = 600
    ) -> Completed:
        """Run a command, or a line for its shell, as root of the machine; needs port 22 among `ports`."""
        line = command if isinstance(command, str) else shlex.join(command)
        argv = [
            "ssh",
            "-q",
            "-i",
            str(key()),
            "-p",
            str(self.port(22)),
            "-o",
            "BatchMode=yes",
            "-o",
            "ConnectTimeout=20",
        ]
        argv += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "root@127.0.0.1", line]
        try:
            done = subprocess.run(
                argv, input=input or "", capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as e:
            if check:
                raise CommandTimeout(self.name, [line], timeout) from e
            return Completed(argv, 124, "", "")
        if check and done.returncode:
            raise CommandFailed(self.name, [line], done.returncode, done.stdout, done.stderr)
        return done

    def put(self, source: Path, target: str) -> None:
        """Copy a file or a directory to a place in the machine."""
        argv = ["scp", "-q", "-r", "-i", str(key()), "-P", str(self.port(22)), "-o", "StrictHostKeyChecking=no"]
        call(*argv, "-o", "UserKnownHostsFile=/dev/null", str(source), f"root@127.0.0.1:{target}")

    def stop(self, seconds: float = 120) -> None:
        """Shut it down as its power button does, and wait until it is off."""
        running = self.process
        if running is None:
            return
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.home / "monitor"))
            monitor.sendall(b"system_powerdown\n")
            wait_for(lambda: not running.alive, f"the shutdown of {self.name}", seconds)

    def kill(self) -> None:
        """Pull the plug."""
        with lock(f"vm-{self.name}"):
            self._end()

    def _end(self) -> None:
        """End the qemu that we noted, and one whose starter was killed before it could note it."""
        if running := self.process:
            running.kill()
        end_of(f"{PREFIX}-vm-{self.name}")

    def down(self) -> None:
        """Pull the plug and remove the disk; one that isn't there is fine."""
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def _tail(self) -> str:
        return "\n".join(self.console.splitlines()[-15:])


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def end_of(mark: str) -> None:
    """Kill the processes that have `mark` as a word of their command line, and wait until they are gone."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if mark.encode() in words:
            Process.of(int(path.parent.name)).kill()
