"""Guests for the system tests. What is dear (apt, an install) is done once a release and kept as a snapshot.

A site's names are its guest's, so each guest that starts from a snapshot has the name of the one it was made of.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix_baremetal import versions
from tests.lab import Guest, Lab
from tests.lab.places import CACHE, lock
from tests.system.site import WHEELS, Site, built

REPOSITORY = Path(__file__).parents[2]
PYTHONS = {12: "3.11", 13: "3.13"}
STAMP = "root/snapshot.stamp"


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """Wheels of all versions for both releases, so that an install takes seconds and needs no network."""
    place = CACHE / "wheelhouse"
    with lock("wheelhouse"):
        for python in PYTHONS.values():
            for version in (known.version for known in versions.read().synapse.known):
                words: list[str | Path] = [
                    REPOSITORY / "bin/wheelhouse",
                    place,
                    "--python",
                    python,
                    "--version",
                    version,
                ]
                subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
    return place


class Snapshots:
    """Guests as they were after `apt install` and after `matrix-baremetal install`, made when first asked for."""

    def __init__(self, lab: Lab, deb: Path, wheelhouse: Path) -> None:
        self.lab, self.deb, self.wheelhouse = lab, deb, wheelhouse
        recipe = (Path(__file__), REPOSITORY / "tests/system/site.py", deb)
        self.stamp = hashlib.sha256(b"".join(path.read_bytes() for path in recipe)).hexdigest()

    def boot(self, kind: str, debian: int, name: str = "") -> Guest:
        """A guest that starts from a snapshot: "package" by any name, or "site" by the name that it was made with."""
        name = name or f"st-{debian}"
        self.prepare(kind, debian)
        self.lab.down(name)
        return self.lab.up(name, lower=f"st-{kind}-{debian}", binds=[(self.wheelhouse, WHEELS)])

    def prepare(self, kind: str, debian: int) -> None:
        """Make it unless it is there, or another worker is making it right now."""
        if kind == "site":
            self.prepare("package", debian)
        label = f"st-{kind}-{debian}"
        with lock(f"tests-{label}"):
            if self._of_use(label):
                return
            guest, seconds = self._site(debian) if kind == "site" else self._package(debian)
            guest.write(f"/root/{kind}.seconds", f"{seconds:.1f}\n")
            guest.write(f"/{STAMP}", self.stamp)
            self.lab.snapshot(guest, label)
            self.lab.down(guest.name)

    def _of_use(self, label: str) -> bool:
        stamp = CACHE / "snapshots" / label / "fs" / STAMP
        return self.lab.has_snapshot(label) and stamp.exists() and stamp.read_text() == self.stamp

    def _package(self, debian: int) -> tuple[Guest, float]:
        """From a bare Debian, as an operator does it: by apt."""
        name = f"st-package-{debian}"
        self.lab.forget(f"st-site-{debian}")  # it would stand on a disk that is no longer there
        self.lab.down(name)
        guest = self.lab.up(name, debian, bare=True)
        guest.put(self.deb, "/root/")
        began = time.monotonic()
        guest.run(f"apt-get update -q && apt-get install -q -y /root/{self.deb.name}", timeout=900)
        return guest, time.monotonic() - began

    def _site(self, debian: int) -> tuple[Guest, float]:
        """With what the network gives."""
        self.lab.down(f"st-{debian}")
        guest = self.lab.up(f"st-{debian}", lower=f"st-package-{debian}")
        site = Site(self.lab, guest)
        site.configure()
        began = time.monotonic()
        done = site.install(wheels=False)
        seconds = time.monotonic() - began
        guest.write("/root/install.json", json.dumps({"stdout": done.stdout, "stderr": done.stderr}))
        site.remember()
        return guest, seconds


@pytest.fixture(scope="session")
def snapshots(lab: Lab, deb: Path, wheelhouse: Path) -> Snapshots:
    return Snapshots(lab, deb, wheelhouse)


@pytest.fixture(scope="module", params=[12, 13], ids=["debian12", "debian13"])
def debian(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def name(request: pytest.FixtureRequest, debian: int) -> str:
    """What a guest from a snapshot is called, as those of its release or as nobody else's."""
    own = request.node.get_closest_marker("own_guests") is not None
    return f"st-{request.path.stem.removeprefix('test_').replace('_', '-')}-{debian}" if own else f"st-{debian}"


@pytest.fixture(scope="module")
def standing(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """An installed site that the tests of a module share: they look and change nothing."""
    yield Site(lab, snapshots.boot("site", debian))
    lab.down(f"st-{debian}")


@pytest.fixture
def site(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """An installed site of one's own, to do to it what one likes."""
    yield Site(lab, snapshots.boot("site", debian))
    lab.down(f"st-{debian}")


@pytest.fixture
def fresh(lab: Lab, snapshots: Snapshots, debian: int, name: str) -> Iterator[Site]:
    """A Debian with our package and a config, where nothing has been installed yet."""
    site = Site(lab, snapshots.boot("package", debian, name))
    site.configure()
    yield site
    lab.down(name)
