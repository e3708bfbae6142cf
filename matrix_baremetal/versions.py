"""The versions that this release installs, and the lock files that pin every byte of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from matrix_baremetal.yamlfile import decode

HERE = Path(__file__).parent


@dataclass(frozen=True)
class SynapseVersion:
    """`minimum`: older ones have known, serious holes; `postgres`: the oldest major release it speaks to."""

    version: str
    minimum: str
    postgres: int


@dataclass(frozen=True)
class UvVersion:
    """The program that makes virtualenvs."""

    version: str


@dataclass(frozen=True)
class Versions:
    """versions.yaml."""

    synapse: SynapseVersion
    uv: UvVersion


def read() -> Versions:
    """The versions that this release ships."""
    file = HERE / "versions.yaml"
    return decode(file.read_text(), str(file), Versions)


def lock(name: str) -> str:
    """The text of a lock file: pip requirements, each with the hashes of its wheels."""
    return (HERE / "locks" / f"{name}.txt").read_text()
