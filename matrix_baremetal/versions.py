"""The versions that this release installs, and the hashes and lock files that pin every byte of them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from matrix_baremetal.shape import known
from matrix_baremetal.yamlfile import decode

HERE = Path(__file__).parent
# What a version looks like that may become part of a path.
VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,3}(rc[0-9]{1,3})?")
# Where in a lock begins what other parts have put beside Synapse.
BESIDE = "# Beside Synapse:\n"


@dataclass(frozen=True)
class Known:
    """A Synapse that this release ships a lock of; `security`: upstream calls it a release of security."""

    version: str
    security: bool = False


@dataclass(frozen=True)
class SynapseVersion:
    """`version`: what is to run; `minimum`: older ones have known, serious holes; `postgres`: the oldest major
    release it speaks to.

    `schema` is the newest version of the database's tables that the newest of them knows.

    `known` are those that this release ships a lock of, the newest first; `lock` is that of one that it doesn't.
    """

    version: str
    minimum: str
    postgres: int
    schema: int
    known: tuple[Known, ...]
    lock: str = field(default="", repr=False)

    @property
    def newest(self) -> str:
        """The version that this release pins."""
        return self.known[0].version

    @property
    def newer(self) -> tuple[Known, ...]:
        """What this release has that is newer than what is to run, the newest first."""
        return tuple(each for each in self.known if numbers(each.version) > numbers(self.version))

    def ships(self, version: str) -> bool:
        """Whether there is a lock of a version."""
        return any(each.version == version for each in self.known)

    @property
    def pins(self) -> str:
        """The lock of what is to run."""
        return lock(f"synapse-{self.version}") if self.ships(self.version) else self.lock

    def beside(self, locks: tuple[str, ...]) -> str:
        """The same with what these other locks pin, which go with each Synapse that there is a lock of."""
        return "".join((self.pins, *(f"{BESIDE}{lock(name)}" for name in locks)))


@dataclass(frozen=True)
class PartVersion:
    """A program of which one version is known, which has a lock of its own."""

    version: str


@dataclass(frozen=True)
class Signature:
    """Where a detached signature is, where the key is that made it, and the fingerprint of that key's primary key."""

    url: str
    key: str
    fingerprint: str


@dataclass(frozen=True)
class Pin:
    """A release of another program as its makers publish it: an archive, its hash, and how they sign it."""

    version: str
    url: str
    sha256: str
    signature: Signature | None = None


@dataclass(frozen=True)
class AptRepository:
    """A repository of packages: its address and suite, where its key is, and which key that is."""

    url: str
    suite: str
    key: str
    fingerprint: str


@dataclass(frozen=True)
class Build:
    """A program for one kind of processor: where it is, and its hash."""

    url: str
    sha256: str


@dataclass(frozen=True)
class Packed:
    """A program that its makers publish as one archive for each kind of processor."""

    version: str
    x86_64: Build
    aarch64: Build

    def pin(self, architecture: str) -> Pin:
        """The one for this machine."""
        # On any other there is no Synapse either, as an install says before it begins.
        build = self.aarch64 if architecture == "aarch64" else self.x86_64
        return Pin(self.version, build.url, build.sha256)


class Program(Packed):
    """The same, where what they publish is the program itself."""


@dataclass(frozen=True)
class Versions:
    """versions.yaml."""

    synapse: SynapseVersion
    uv: PartVersion
    heisenbridge: PartVersion
    ldap: PartVersion
    element: Pin
    hydrogen: Pin
    ketesa: Pin
    synapse_admin: Pin
    livekit: Packed
    jitsi: AptRepository
    mautrix_whatsapp: Program
    mautrix_telegram: Program
    mautrix_signal: Program
    mautrix_discord: Program

    @property
    def releases(self) -> dict[str, Pin]:
        """What comes as an archive, by name."""
        return {name: pin for name in known(Versions) if isinstance(pin := getattr(self, name), Pin)}

    @property
    def programs(self) -> dict[str, Program]:
        """What comes as a program, by name."""
        return {name: each for name in known(Versions) if isinstance(each := getattr(self, name), Program)}

    def running(self, version: str, lock: str = "") -> Versions:
        """The same with another Synapse; its lock where this release ships none."""
        return replace(self, synapse=replace(self.synapse, version=version, lock=lock))


@functools.cache
def read() -> Versions:
    """The versions that this release ships; several parts of a run ask."""
    file = HERE / "versions.yaml"
    return decode(file.read_text(), str(file), Versions)


def lock(name: str) -> str:
    """The text of a lock file: pip requirements, each with the hashes of its wheels."""
    return (HERE / "locks" / f"{name}.txt").read_text()


def alone(text: str) -> str:
    """A lock of Synapse without what is beside it."""
    return text.partition(BESIDE)[0]


def pinned(lock: str) -> set[str]:
    """What a lock pins, each as "name version"."""
    return {f"{name} {version}" for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE)}


def numbers(version: str) -> tuple[int, ...]:
    """1.163.2rc1 as (1, 163, 2)."""
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in version.split("rc")[0].split(".")[:3])
