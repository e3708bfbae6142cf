"""A Debian machine on the pretend internet, as a test uses it."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from . import machine, network
from .errors import CommandFailed, CommandTimeout, LabError
from .places import lock
from .programs import Process

Completed = subprocess.CompletedProcess[str]
_count = itertools.count()


class Running(subprocess.Popen[str]):
    """A command that runs in a guest. Ending it ends all that it started there."""

    def __init__(self, guest: str, unit: str, argv: Sequence[str], **options: Any) -> None:
        self.guest, self.unit = guest, unit
        super().__init__(argv, text=True, errors="replace", **options)

    def terminate(self) -> None:
        self._stop()
        super().terminate()

    def kill(self) -> None:
        self._stop("--signal=KILL", verb="kill")
        super().kill()

    def _stop(self, *options: str, verb: str = "stop") -> None:
        # Also when our own end of it is over: Ctrl-C reaches that first, and the command runs on in the guest.
        if machine.leader(self.guest):
            argv = machine.enter(self.guest, "systemctl", verb, *options, self.unit)
            subprocess.run(argv, capture_output=True, check=False, start_new_session=True)


class Guest:
    """One guest by its name; it need not have power. Made by `Lab.up` and `Lab.guest`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Guest({self.name!r})"

    @property
    def disk(self) -> machine.Disk:
        found = machine.Disk.read(self.name)
        if found is None:
            raise LabError(f"there is no guest {self.name}", f"run: bin/lab up {self.name}")
        return found

    @property
    def domain(self) -> str:
        return f"{self.name}.test"

    @property
    def debian(self) -> int:
        return self.disk.debian

    @property
    def ip(self) -> str:
        return network.ip4(self.disk.octet)

    @property
    def ip6(self) -> str:
        return network.ip6(self.disk.octet)

    @property
    def root(self) -> Path:
        """Its file system as this machine sees it, without /run and /tmp; absolute links lead astray."""
        return self.disk.root

    @property
    def alive(self) -> bool:
        return machine.leader(self.name) is not None

    def argv(
        self,
        command: Sequence[str] | str,
        unit: str,
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        options: Sequence[str] = (),
    ) -> list[str]:
        """The command of this machine that runs `command` as the transient unit `unit` of the guest."""
        run = ["systemd-run", "--quiet", "--wait", "--collect", f"--unit={unit}", "--description=lab command"]
        run += ["--property=IgnoreSIGPIPE=no", *options]
        variables = {**machine.ENVIRONMENT, "DEBIAN_FRONTEND": "noninteractive", **(env or {})}
        if user is None:
            run += ["--working-directory=/root"]
        else:
            run += [f"--uid={user}", "--property=WorkingDirectory=-~"]
            variables.pop("HOME")
        run += [f"--setenv={name}={value}" for name, value in variables.items()]
        # Through env, as that ends with 127 for a program that isn't there.
        words = ["bash", "-c", command] if isinstance(command, str) else list(command)
        return machine.enter(self.name, *run, "/usr/bin/env", "--", *words)

    def popen(
        self,
        command: Sequence[str] | str,
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        **options: Any,
    ) -> Running:
        """Start a command and return while it runs; `options` are subprocess.Popen's (stdin, stdout, stderr)."""
        self._end_orphans()
        me = Process.of(os.getpid())
        unit = f"lab-run-{me.pid}-{me.started}-{next(_count)}.service"
        argv = self.argv(command, unit, env=env, user=user, options=["--pipe"])
        return Running(self.name, unit, argv, **options)

    def _end_orphans(self) -> None:
        """Stop commands whose caller was killed: their units carry its pid and start time."""
        for unit in machine.units(self.name, "lab-run-*.service"):
            pid, started = unit.split("-")[2:4]
            if not Process(int(pid), started).alive:
                self.quick("systemctl", "stop", unit, check=False)

    def run(
        self,
        command: Sequence[str] | str,
        *,
        check: bool = True,
        input: str | None = None,
        timeout: float | None = 600,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> Completed:
        """Run a command (words, or one string for bash) to its end, in a cgroup of its own: what it leaves in the
        background ends with it. Raises CommandFailed unless `check` is off, CommandTimeout after `timeout` seconds.
        """
        words = ["bash", "-c", command] if isinstance(command, str) else list(command)
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        started = self.popen(command, env=env, user=user, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            stdout, stderr = started.communicate(input, timeout)
        except BaseException as e:
            started.terminate()
            stdout, stderr = started.communicate()
            if isinstance(e, subprocess.TimeoutExpired):
                raise CommandTimeout(self.name, words, timeout or 0, stdout, stderr) from e
            raise
        if check and started.returncode:
            raise CommandFailed(self.name, words, started.returncode, stdout, stderr)
        return Completed(words, started.returncode, stdout, stderr)

    def quick(self, *argv: str, check: bool = True, input: bytes | None = None) -> bytes:
        """Run a small command without a unit around it (5 ms, not 40): it must leave nothing running."""
        done = subprocess.run(machine.enter(self.name, *argv), input=input, capture_output=True, check=False)
        if check and done.returncode:
            raise CommandFailed(self.name, argv, done.returncode, stderr=done.stderr.decode(errors="replace"))
        return done.stdout

    def put(self, source: str | Path, target: str) -> None:
        """Copy a file to `target` (into it if it ends in / or is a directory), or what a directory holds into
        the directory `target`. Modes are kept, the owner is root.
        """
        source = Path(source)
        if not source.exists():
            raise LabError(f"there is no {source} on this machine")
        if not source.is_dir() and (target.endswith("/") or self._is_directory(target)):
            target = f"{target.rstrip('/')}/{source.name}"
        folder, name = (target, ".") if source.is_dir() else (str(Path(target).parent), Path(target).name)
        with tempfile.TemporaryFile() as packed:
            with tarfile.open(fileobj=packed, mode="w") as archive:
                archive.add(source, arcname=name, filter=_as_root)
            packed.seek(0)
            self._unpack(folder, packed)

    def _is_directory(self, path: str) -> bool:
        return self.quick("sh", "-c", '[ -d "$1" ] && echo yes || :', "sh", path) == b"yes\n"

    def _unpack(self, folder: str, packed: IO[bytes]) -> None:
        script = f"mkdir -p {shlex.quote(folder)} && exec tar -C {shlex.quote(folder)} -xpf - --no-overwrite-dir"
        argv = machine.enter(self.name, "sh", "-c", script)
        done = subprocess.run(argv, stdin=packed, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CommandFailed(self.name, ["tar", "-C", folder, "-x"], done.returncode, stderr=done.stderr)

    def get(self, source: str, target: str | Path) -> None:
        """Copy a file from the guest to `target` (into it if that is a directory), or what a directory holds
        into the directory `target`.
        """
        target = Path(target)
        if self._is_directory(source):
            target.mkdir(parents=True, exist_ok=True)
            packed = self.quick("tar", "-C", source, "-cf", "-", ".")
            subprocess.run(["tar", "-C", str(target), "-xf", "-", "--no-same-owner"], input=packed, check=True)
            return
        content = self.quick("cat", source)
        (target / Path(source).name if target.is_dir() else target).write_bytes(content)

    def read(self, path: str) -> str:
        """The text of a file of the guest."""
        return self.quick("cat", path).decode()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the guest, with its directories; the mode holds from its first byte on."""
        script = 'umask 077; mkdir -p -m 755 "${1%/*}/"; cat > "$1" && chmod "$2" "$1"'
        self.quick("sh", "-c", script, "sh", path, f"{mode:o}", input=text.encode())

    def up(self) -> None:
        """Give it power; returns when it has booted."""
        with lock(f"guest-{self.name}"):
            if not self.alive:
                machine.pull_plug(self.name)
                machine.power_on(self.disk)

    def kill(self) -> None:
        """Pull the plug."""
        with lock(f"guest-{self.name}"):
            machine.pull_plug(self.disk.name)

    def poweroff(self) -> None:
        """Shut down cleanly; the disk stays."""
        with lock(f"guest-{self.name}"):
            machine.power_off(self.disk.name)

    def reboot(self) -> None:
        """Shut down cleanly and boot again."""
        with lock(f"guest-{self.name}"):
            machine.power_off(self.disk.name)
            machine.power_on(self.disk)

    def down(self) -> None:
        """Take it off the pretend internet, with its disk."""
        from .lab import Lab

        Lab().down(self.name)


def _as_root(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    return entry
