"""Releases of other people's programs, an archive or the program itself: pinned by hash, signed where they sign.

Fetched, checked, unpacked beside, synced, marked complete, renamed, and switched to by the link `current`: what has
the final name is whole. The one before stays beside it, so that the way back needs no network.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host, said_of
from matrix_baremetal.resources import signature
from matrix_baremetal.resources.python import MARK, put_aside
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.versions import Signature

# What of a release is for a web server or a unit to read; the mark beside it is not.
FILES = "files"
MOST_BYTES = 512 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Download(Resource):
    """A program's releases at `path`: `version`, from an archive of this `sha256`, is the one in use.

    `url` is where it comes from, `signed` how upstream signs it, `shelf` a directory to look into first. What comes
    is the program itself and no archive where `program` says what to call it; `runs` is a program in an archive.
    """

    # With --root there may be no network, and no gpg of that machine's.
    live: ClassVar[bool] = True

    path: str
    version: str = ""
    sha256: str = ""
    url: str = field(default="", compare=False)
    signed: Signature | None = field(default=None, compare=False)
    shelf: str | None = field(default=None, compare=False)
    program: str = field(default="", compare=False)
    runs: str = field(default="", compare=False)

    @property
    def spare(self) -> bool:
        """Yes: the homeserver itself is no release of this kind."""
        return True

    @property
    def title(self) -> str:
        return f"{self.path.rpartition('/')[2]} {self.version}".rstrip()

    @property
    def noun(self) -> str:
        return "release"

    def verb(self, found: Resource | None) -> str:
        return "fetch"

    @property
    def paths(self) -> tuple[str, ...]:
        return (f"{self.path}/current",)

    def find(self, host: Host) -> Self | None:
        version = host.target(f"{self.path}/current") or ""
        if not NAME.fullmatch(version):
            return None
        found = mark(host, f"{self.path}/{version}")
        return replace(self, version=version, sha256=found) if found else None

    def make(self, host: Host, found: Self | None) -> None:
        place = f"{self.path}/{self.version}"
        host.mkdir(self.path, 0o755)
        if mark(host, place) != self.sha256:
            self._bring(host, place)
        before = host.target(f"{self.path}/current")
        host.link(f"{self.path}/current", self.version)
        for name in set(host.names(self.path)) - {"current", self.version, before}:
            clear(host, f"{self.path}/{name}")

    def _bring(self, host: Host, place: str) -> None:
        """Have the release whole at `place`."""
        part = f"{self.path}/.{self.sha256[:16]}.part"
        building, old = (f"{self.path}/.{self.version}.{ending}" for ending in ("building", "old"))
        for leftover in (building, old):
            host.remove_tree(leftover)
        self._fetch(host, part)
        host.mkdir(building, 0o755)
        try:
            if self.signed is not None:
                signature.check(host, self.signed, part, building, self.shelf)
            with said_of(f"{building}/{FILES}"):
                self._laid_out(host.path(part), host.path(f"{building}/{FILES}"))
            host.write(f"{building}/{MARK}", json.dumps({"sha256": self.sha256}) + "\n", 0o644)
            host.run("sync", "-f", str(host.path(building)))
        except BaseException:
            host.remove_tree(building)
            raise
        if host.node(place):
            put_aside(host, place, old)
        host.rename(building, place)
        host.remove_tree(old)
        host.remove(part)

    def _laid_out(self, came: Path, files: Path) -> None:
        """Make a directory of what came: an archive's files, or the program."""
        from matrix_baremetal.resources import unpack

        files.mkdir(mode=0o755)
        files.chmod(0o755)
        if self.program:
            shutil.copyfile(came, files / self.program)
            (files / self.program).chmod(0o755)
        else:
            unpack.unpack(came, files)
            unpack.moved_up(files)
        if self.runs:
            # What was unpacked has no mode of its own.
            if not (files / self.runs).is_file():
                raise Error(f"{self.url} has no {self.runs} in it", hint="name another release in the config")
            (files / self.runs).chmod(0o755)

    def _fetch(self, host: Host, part: str) -> None:
        """Have the archive, checked, at `part`."""
        begun = host.node(part) is not None
        signature.get(host, self.url, part, MOST_BYTES, self.shelf)
        found = digest(host.path(part))
        if found == self.sha256:
            return
        host.remove(part)
        if begun:
            # The beginning, which is of an older run, may have been of another file.
            self._fetch(host, part)
            return
        raise Error(
            f"{self.url} is not the file that is pinned, so nothing was installed: its sha256 is {found}, "
            f"not {self.sha256}",
            hint="try again later; a mirror can be named in the config: release",
        )

    def undo(self, host: Host) -> None:
        clear(host, self.path)


def mark(host: Host, place: str) -> str:
    """The hash of the archive that a release was unpacked from; empty where it is not whole."""
    try:
        return str(json.loads(host.text(f"{place}/{MARK}") or "")["sha256"])
    except (ValueError, KeyError, TypeError):
        return ""


def digest(place: Path) -> str:
    """The sha256 of a file."""
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear(host: Host, path: str) -> None:
    """Remove what is at a path, with all that is in it."""
    node = host.node(path)
    if node is not None and node.kind == "directory":
        host.remove_tree(path)
    else:
        host.remove(path)
