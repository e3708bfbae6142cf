"""Virtualenvs made from a lock file: every byte pinned by hash, wheels only, so no compiler is needed.

Built beside, by uv (pip where uv can't be had), synced to disk, marked complete, then renamed: what has the final
name is whole.
"""

from __future__ import annotations

import errno
import json
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

from matrix_baremetal.errors import Error, Unreached
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Difference, Resource
from matrix_baremetal.shell import Failed
from matrix_baremetal.versions import BESIDE, alone, pinned

MARK = "complete.json"
LOCK = "requirements.txt"
WHEELS = "/usr/share/python-wheels"
PIP = (
    "--quiet",
    "--no-cache-dir",
    "--no-input",
    "--disable-pip-version-check",
    "--no-color",
    "--progress-bar",
    "off",
)
MISMATCH = ("DO NOT MATCH THE HASHES", "Hash mismatch")
UNREACHED = ("Failed to download", "Failed to fetch")
FULL = ("No space left on device", "Disk quota exceeded")
# So many packages that are others are named in a plan.
MOST = 8
# More than half of all code, and nothing that Synapse ever imports: it would take as long again to compile.
IDLE = "/tests?/|/phonenumbers/(geodata|carrierdata|tzdata)/|/setuptools/|/twisted/(trial|words)/|/pydantic/v1/"


@dataclass(frozen=True)
class Virtualenv(Resource):
    """A virtualenv of Debian's Python. `pins` is a digest of the lock, `python` the interpreter's version, as 3.11.

    `requirements` and `uv` are the texts of the lock files; `wheelhouse` a directory of wheels to use instead of
    the network. One that is `kept` is an older one for a way back: it is whatever is there, and never made.
    """

    # With --root the interpreter of the machine at hand would be asked, not that of the folder.
    live: ClassVar[bool] = True

    path: str
    pins: str = ""
    python: str = ""
    requirements: str = field(default="", compare=False, repr=False)
    uv: str = field(default="", compare=False, repr=False)
    wheelhouse: str | None = field(default=None, compare=False)
    kept: bool = field(default=False, compare=False)

    @property
    def paths(self) -> tuple[str, ...]:
        return (f"{self.path}/{MARK}",)

    def find(self, host: Host) -> Self | None:
        if self.kept:
            return self if host.node(f"{self.path}/{MARK}") else None
        try:
            mark = json.loads(host.text(f"{self.path}/{MARK}") or "")
            found = replace(self, pins=str(mark["pins"]), python=str(mark["python"]))
        except (ValueError, KeyError, TypeError):
            return None
        if found.pins == self.pins:
            return found
        text = host.text(f"{self.path}/{LOCK}") or ""
        return replace(found, pins=self.pins if self._within(text) else found.pins, requirements=text)

    def differences(self, found: Resource | None) -> tuple[Difference, ...]:
        """Which packages are others, in place of two digests."""
        rows = super().differences(found)
        if not isinstance(found, Virtualenv):
            return rows
        old, new = pinned(found.requirements), pinned(self.requirements)
        told = Difference("packages", listed(old - new), listed(new - old) or "none of these")
        return tuple(told if row.field == "pins" and old != new else row for row in rows)

    def _within(self, text: str) -> bool:
        """Whether a lock has more beside the same than is asked for.

        What a part has put there stays when that part goes, until the next upgrade: taken out while the config on
        the disk still names it, it would keep Synapse from starting where the run is killed in between.
        """
        there, wanted = ({*lock.partition(BESIDE)[2].splitlines()} for lock in (text, self.requirements))
        return bool(self.pins) and alone(text) == alone(self.requirements) and wanted < there

    def make(self, host: Host, found: Self | None) -> None:
        parent, _, name = self.path.rpartition("/")
        building, old = f"{parent}/.{name}.building", f"{parent}/.{name}.old"
        for leftover in (building, old):
            host.remove_tree(leftover)
        host.mkdir(building, 0o755)
        try:
            self._build(host, building)
            self._compile(host, building)
            relocate(host, building, self.path)
            host.write(f"{building}/{MARK}", json.dumps({"pins": self.pins, "python": self.python}) + "\n", 0o644)
            host.run("sync", "-f", str(host.path(building)))
        except BaseException as error:
            host.remove_tree(building)
            # Downloads that are whole: the next run goes on from there.
            if not isinstance(error, Unreached):
                host.remove_tree(f"{building}.cache")
            raise
        if host.node(self.path):
            put_aside(host, self.path, old)
        host.rename(building, self.path)
        host.remove_tree(old)

    def _build(self, host: Host, building: str) -> None:
        lock = f"{building}/{LOCK}"
        host.write(lock, self.requirements, 0o644)
        try:
            tool = fetch_uv(host, building, self.uv, self.interpreter, self.wheelhouse)
            if tool is not None:
                self._by_uv(host, tool, building, lock)
                host.remove(tool)
            else:
                self._by_pip(host, building, lock)
        except Failed as error:
            raise self._explained(error) from None

    def _by_uv(self, host: Host, tool: str, building: str, lock: str) -> None:
        place, program = str(host.path(building)), str(host.path(tool))
        # The cache beside the target, so that files are linked and nothing goes to a small /tmp or a foreign HOME.
        common: tuple[str, ...] = (
            "--no-config",
            "--no-python-downloads",
            "--no-managed-python",
            "--no-progress",
            "--color",
            "never",
        )
        common += ("--quiet", "--cache-dir", f"{place}.cache", "--directory", "/")
        source = ("--offline", "--no-index", "--find-links", self.wheelhouse) if self.wheelhouse else ()
        host.run(
            *(program, "venv", *common, "--no-project", "--relocatable", "--allow-existing"),
            *("--python", self.interpreter, place),
        )
        host.run(
            *(program, "pip", "install", *common, "--python", f"{place}/bin/python", "--system-certs"),
            *("--require-hashes", "--no-deps", "--only-binary", ":all:"),
            *("--link-mode", "hardlink", "--strict", *source, "-r", str(host.path(lock))),
            timeout=1800,
        )
        host.remove_tree(f"{building}.cache")
        # uv leaves its lock writable by everybody, whatever the umask.
        host.remove(f"{building}/.lock")

    def _by_pip(self, host: Host, building: str, lock: str) -> None:
        place = str(host.path(building))
        host.run(self.interpreter, "-I", "-m", "venv", "--without-pip", place, timeout=300)
        host.run(
            *(f"{place}/bin/python", "-I", debian_pip(host), "install", *PIP, *offline(self.wheelhouse)),
            *("--no-compile", "--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(host.path(lock))),
            timeout=1800,
        )

    def _compile(self, host: Host, building: str) -> None:
        """Write bytecode now: the service can't, and would compile all that it imports at each start."""
        place = host.path(building)
        words = ("-I", "-m", "compileall", "-q", "-j", "0", "-x", IDLE, str(place / "lib"))
        try:
            host.run(str(place / "bin/python"), *words, timeout=1800)
        except Failed as error:
            raise Error(
                f"the virtualenv {self.path} could not be compiled: {error.result.last_words}",
                hint=f"df {self.path.rpartition('/')[0]}; matrix-baremetal apply goes on from here",
            ) from None

    @property
    def interpreter(self) -> str:
        """Debian's Python by its full version: after a release upgrade the virtualenv must not start the next one."""
        return f"/usr/bin/python{self.python}"

    def _explained(self, error: Failed) -> Error:
        words = error.result.last_words
        if any(mark in error.result.err for mark in MISMATCH):
            return Error(
                f"a package is not the one that this release pins, so nothing was installed: {words}",
                hint="check the package index or the wheel directory that this machine uses",
            )
        where = f"the wheel directory {self.wheelhouse}" if self.wheelhouse else "the package index"
        said = error.result.err
        away = any(mark in said for mark in UNREACHED) and not any(mark in said for mark in FULL)
        return (Unreached if away else Error)(
            f"the virtualenv {self.path} could not be made from {where}: {first_and_last(words)}",
            hint="matrix-baremetal apply goes on from here once the cause is gone",
            passes=True,
        )

    def undo(self, host: Host) -> None:
        parent, _, name = self.path.rpartition("/")
        host.remove_tree(self.path)
        # What a killed run left of it.
        for ending in ("building", "building.cache", "old"):
            host.remove_tree(f"{parent}/.{name}.{ending}")


def listed(found: set[str]) -> str:
    """The first of them by name, and how many more there are."""
    first, more = sorted(found)[:MOST], len(found) - MOST
    return ", ".join([*first, *([f"{more} more"] if more > 0 else [])])


def put_aside(host: Host, path: str, old: str) -> None:
    """Rename a virtualenv, or remove it where it can't be renamed.

    Overlayfs renames no directory that comes from a lower layer, as that of an image does (EXDEV; overlayfs.rst of
    the kernel, redirect_dir). The mark goes first: what is removed by half is not taken for whole.
    """
    try:
        host.rename(path, old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        host.remove(f"{path}/{MARK}")
        host.remove_tree(path)


def first_and_last(words: str) -> str:
    """What uv could not do, by name where it names it, and the last of its row of causes, which says why."""
    lines = [line.strip() for line in words.splitlines()]
    failed = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    causes = [line.removeprefix("cause: ") for line in lines if line.startswith("cause: ")]
    if not failed or not causes:
        return words
    named = next((line for line in (failed[0], *causes[:-1]) if line.startswith(UNREACHED)), failed[0])
    return f"{named}: {causes[-1]}"


def fetch_uv(host: Host, place: str, lock: str, python: str, wheelhouse: str | None) -> str | None:
    """Get uv by Debian's own pip, checked against its lock; None where it can't be had.

    Its wheel holds one program, so it is taken out and run as it is. Raises where another hash arrives.
    """
    requirements, wheels = f"{place}/uv.txt", f"{place}/uv"
    host.write(requirements, lock, 0o644)
    host.mkdir(wheels, 0o755)
    try:
        host.run(
            *(python, "-I", debian_pip(host), "download", *PIP, *offline(wheelhouse)),
            *("--no-deps", "--only-binary", ":all:", "--require-hashes"),
            *("-r", str(host.path(requirements)), "-d", str(host.path(wheels))),
            timeout=600,
        )
    except Failed as error:
        if any(mark in error.result.err for mark in MISMATCH):
            raise
        host.remove_tree(wheels)
        return None
    [wheel] = [name for name in host.names(wheels) if name.endswith(".whl")]
    program = unpacked(host.path(f"{wheels}/{wheel}"))
    host.remove_tree(wheels)
    host.remove(requirements)
    host.write(f"{place}/uv-program", program, 0o755)
    return f"{place}/uv-program"


def debian_pip(host: Host) -> str:
    """pip as Debian ships it for virtualenvs (python3-pip-whl): a wheel that Python runs as it is."""
    pips = [name for name in host.names(WHEELS) if name.startswith("pip-")]
    if not pips:
        raise Error("Debian's pip is not installed", hint="apt install python3-pip-whl")
    return f"{WHEELS}/{pips[-1]}/pip"


def offline(wheelhouse: str | None) -> tuple[str, ...]:
    """pip's words for taking packages from a directory alone."""
    return ("--no-index", "--find-links", wheelhouse) if wheelhouse else ()


def unpacked(wheel: Path) -> bytes:
    """The program in uv's wheel."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".data/scripts/uv")]
        return archive.read(name)


def relocate(host: Host, old: str, new: str) -> None:
    """Write the final path into the scripts that pip made, as the virtualenv is about to be renamed.

    uv's are relocatable already; modules need nothing, as Python corrects their path when it loads them.
    """
    before, after = str(host.path(old)).encode(), new.encode()
    for script in (*(f"{old}/bin/{name}" for name in host.names(f"{old}/bin")), f"{old}/pyvenv.cfg"):
        node, data = host.node(script), host.read(script)
        if node is not None and node.kind == "file" and data is not None and before in data[:4096] + data[-4096:]:
            host.write(script, data.replace(before, after), node.mode)
