"""The lab as a whole: guests come, are frozen and go; the pretend internet is there as long as any of them.

    lab = Lab()
    one = lab.up("one")                              # one.test, matrix.one.test, …: Debian 13 with our package
    one.run("matrix-baremetal install --unattended --server-name one.test --email admin@one.test")
    lab.client(["curl", "-sS", "https://matrix.one.test/_matrix/client/versions"])
    lab.down()

Every command here may be killed at any moment; the next one finds what it left.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import authority, client, infra, layers, machine, network, releases, zone
from .errors import CommandFailed, CommandTimeout, LabError
from .guest import Completed, Guest
from .places import CACHE, DISKS, REPOSITORY, RUN, lock, read_json, write_json
from .programs import call, say

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?")
_TAKEN = {"infra", "client", "acme", "ns", "lab", "mirror"}


def newest_deb() -> Path:
    """The package as it was built last."""
    built = [*REPOSITORY.parent.glob("matrix-baremetal_*.deb"), *(REPOSITORY / "build").glob("*.deb")]
    if not built:
        raise LabError(
            "there is no package to install in the guest",
            "run: dpkg-buildpackage -us -uc -b (or take a plain Debian: bin/lab up NAME --bare)",
        )
    return max(built, key=lambda path: path.stat().st_mtime)


class Lab:
    """All that happens on the pretend internet of this machine."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise LabError("the lab needs root, as it makes network namespaces and containers", "run: sudo bin/lab …")
        self.dns = zone.Dns()
        self.mirror = releases.Mirror()

    def up(
        self,
        name: str,
        debian: int | None = None,
        bare: bool = False,
        deb: str | Path | None = None,
        binds: Sequence[tuple[str | Path, str]] = (),
        lower: str | None = None,
    ) -> Guest:
        """A guest with power, reachable as NAME.test and all below it. One that exists boots from the disk it has.

        debian: 12 or 13 (13 unless said). bare: without our package. deb: this package, not the newest one built.
        binds: (directory of this machine, place in the guest), read-only. lower: label of a snapshot to start from.
        """
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise LabError(f"{name!r} can't be a guest's name", "take a short word of a–z, 0–9 and -, as: one")
        with lock(f"guest-{name}"):
            with lock("lab"):
                self._sweep()
                infra.up()
                disk = self._disk(name, debian, bare, deb, binds, lower)
                zone.publish()
                client.prepare()
            guest = Guest(name)
            if guest.alive:
                # Whoever gave it power may have been killed before it had booted.
                machine.wait_until_up(name)
            else:
                machine.pull_plug(name)
                self._stack(disk)
                machine.power_on(disk)
            self._install(guest, disk)
        return guest

    def _disk(
        self,
        name: str,
        debian: int | None,
        bare: bool,
        deb: str | Path | None,
        binds: Sequence[tuple[str | Path, str]],
        lower: str | None,
    ) -> machine.Disk:
        """The disk that the guest has, or a new one as asked for."""
        disk = machine.Disk.read(name)
        if disk:
            if debian not in (None, disk.debian):
                raise LabError(f"{name} is there already, with Debian {disk.debian}", f"run: bin/lab down {name}")
            return disk
        if lower:
            frozen = read_json(self._snapshot(lower) / "snapshot.json")
            if not frozen:
                raise LabError(f"there is no snapshot {lower}")
            debian, bare, deb = frozen["debian"], frozen["bare"], frozen["deb"]
        elif debian not in (None, *layers.SUITES):
            raise LabError(f"the lab has no Debian {debian}", "take 12 or 13")
        elif not bare:
            deb = Path(deb).resolve() if deb else newest_deb()
            if not deb.exists():
                raise LabError(f"there is no {deb}", "run: dpkg-buildpackage -us -uc -b")
        taken = {other.octet for other in map(machine.Disk.read, machine.names()) if other}
        octet = next((o for o in network.GUESTS if o not in taken), None)
        if octet is None:
            raise LabError("the lab is full", "run: bin/lab down")
        machine.pull_plug(name)
        shutil.rmtree(DISKS / name, ignore_errors=True)
        places = tuple((str(Path(source).resolve()), target) for source, target in binds)
        disk = machine.Disk(name, octet, debian or 13, bare, lower, str(deb) if deb else None, binds=places)
        disk.write()
        return disk

    def _stack(self, disk: machine.Disk) -> None:
        """Choose the layers of a new disk, making those that are not there yet."""
        if disk.layers:
            return
        if disk.lower:
            home = self._snapshot(disk.lower)
            stack = [home / "fs", *map(Path, read_json(home / "snapshot.json")["layers"])]
            disk.installed = True
        else:
            stack = [layers.base(disk.debian)]
            if disk.deb and not disk.bare:
                stack.insert(0, layers.dependencies(stack[0], Path(disk.deb)))
        stack.insert(0, layers.trust(stack, infra.roots()))
        disk.layers = tuple(map(str, stack))
        disk.write()

    def _install(self, guest: Guest, disk: machine.Disk) -> None:
        """Install our package as an operator does."""
        if disk.bare or disk.installed or not disk.deb:
            return
        guest.put(disk.deb, "/var/tmp/matrix-baremetal.deb")
        # Mends first what a kill in the middle of the last try left half-configured.
        guest.run("dpkg --configure -a && apt-get install -q -y /var/tmp/matrix-baremetal.deb")
        guest.quick("rm", "/var/tmp/matrix-baremetal.deb")
        disk.installed = True
        disk.write()

    def guest(self, name: str) -> Guest:
        """A guest that exists, with or without power."""
        guest = Guest(name)
        _ = guest.disk
        return guest

    def list(self) -> list[Guest]:
        return [Guest(name) for name in machine.names()]

    def client(
        self,
        argv: Sequence[str],
        check: bool = True,
        input: str | None = None,
        timeout: float | None = 120,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a program of this machine as somebody on the pretend internet: its DNS, trust roots and addresses."""
        words, variables = self.client_argv(argv), client.environment(env)
        try:
            done = subprocess.run(
                words, input=input, timeout=timeout, env=variables, capture_output=True, text=True, check=False
            )
        except subprocess.TimeoutExpired as e:
            raise CommandTimeout("the client", argv, timeout or 0) from e
        if check and done.returncode:
            raise CommandFailed("the client", argv, done.returncode, done.stdout, done.stderr)
        return Completed(list(argv), done.returncode, done.stdout, done.stderr)

    def client_argv(self, argv: Sequence[str]) -> tuple[str, ...]:
        """The command that runs `argv` as the client, for callers with a way of their own to start it."""
        with lock("lab"):
            infra.up()
            client.prepare()
        return tuple(client.argv(*argv))

    def certificate(self, *names: str) -> tuple[Path, Path]:
        """Certificate and key for these names by an authority that guests and the client trust, without ACME."""
        with lock("lab"):
            return authority.issue(names)

    def acme_stop(self) -> None:
        """Let's Encrypt is down."""
        with lock("lab"):
            infra.acme_stop()

    def acme_start(self, validity: int | None = None) -> None:
        """Let's Encrypt is back.

        validity: seconds that its certificates live from now on. Another number than before makes it a new one: it
        has forgotten its accounts, and has a new root beside the old one, which guests with power trust at once.
        """
        with lock("lab"):
            infra.acme_start(validity)
            client.prepare()
        for guest in self.list():
            if guest.alive and not layers.trusts(guest.root, infra.roots()):
                layers.give_trust(guest.root, infra.roots())
                guest.quick("update-ca-certificates")

    def acme_limit(self, guest: Guest, seconds: int | None) -> None:
        """Let's Encrypt refuses this guest's orders, with a Retry-After of so many seconds; None: no more."""
        with lock("lab"):
            infra.acme_limit((guest.ip, guest.ip6), seconds)

    def acme_orders(self, guest: Guest) -> Sequence[str]:
        """Under which of its names Let's Encrypt was asked by this guest, one for each order since the lab began."""
        return infra.acme_orders((guest.ip, guest.ip6))

    def _snapshot(self, label: str) -> Path:
        return CACHE / "snapshots" / label

    def _unused(self, label: str) -> Path:
        """Where the snapshot is or would be; an error while a guest stands on it."""
        home = self._snapshot(label)
        using = [g.name for g in self.list() if any(Path(p).is_relative_to(home) for p in g.disk.layers)]
        if using:
            raise LabError(f"the snapshot {label} is in use by {', '.join(using)}", f"run: bin/lab down {using[0]}")
        return home

    def has_snapshot(self, label: str) -> bool:
        """Whether there is one that is of use: Let's Encrypt still knows the accounts and certificates in it."""
        kept = read_json(self._snapshot(label) / "snapshot.json")
        return bool(kept) and [path.name for path in infra.roots()] == kept["roots"]

    def snapshot(self, guest: Guest, label: str) -> None:
        """Shut the guest down and freeze its disk as a layer that others start from: `up(name, lower=label)`.

        The copy is made beside its place; a snapshot of that label that is there is replaced.
        """
        home = self._unused(label)
        guest.poweroff()
        disk = guest.disk
        with lock(f"snapshot-{label}"):
            draft = home.with_name(f"{label}.new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            call("cp", "--archive", "--reflink=auto", str(disk.home / "upper"), str(draft / "fs"))
            kept = {"debian": disk.debian, "bare": disk.bare, "deb": disk.deb, "layers": disk.layers}
            write_json(draft / "snapshot.json", {**kept, "roots": [path.name for path in infra.roots()]})
            shutil.rmtree(home, ignore_errors=True)
            draft.replace(home)

    def forget(self, label: str) -> None:
        """Remove a snapshot that is not in use; none of that label is fine."""
        home = self._unused(label)
        with lock(f"snapshot-{label}"):
            shutil.rmtree(home, ignore_errors=True)

    def down(self, name: str | None = None) -> None:
        """Take one guest away with its disk, or all of them and the pretend internet. What isn't there is fine."""
        if name is not None:
            self._remove(name)
            return
        for each in sorted({*machine.names(), *machine.remains()}):
            self._remove(each)
        with lock("lab"):
            infra.down()
            network.down()
            shutil.rmtree(RUN, ignore_errors=True)
            frozen = (CACHE / "snapshots").glob("*/snapshot.json")
            layers.prune({Path(layer) for path in frozen for layer in read_json(path)["layers"]})
            (DISKS / "dns.json").unlink(missing_ok=True)

    def _remove(self, name: str) -> None:
        with lock(f"guest-{name}"):
            machine.pull_plug(name)
            home = DISKS / name
            # This file first: without it the rest is no guest, wherever a kill stops us.
            (home / "guest.json").unlink(missing_ok=True)
            shutil.rmtree(home, ignore_errors=True)
            with lock("lab"):
                zone.forget(f"{name}.test")
                if RUN.exists():
                    zone.publish()

    def _sweep(self) -> None:
        """Clear away what killed runs left; guests that somebody works on right now are none of our business."""
        for name in machine.remains():
            with lock(f"guest-{name}", wait=False) as free:
                if free:
                    say(f"clearing away what is left of {name}")
                    machine.pull_plug(name)
