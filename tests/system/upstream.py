"""Releases as upstreams make them, for the lab's mirror: Hydrogen is the real one, made of what npm has; a mautrix
bridge is upstream's own but for the network behind it, as the module proxy has no more.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.lab.go import built
from tests.lab.places import CACHE, lock

SOURCE = Path(__file__).parents[1] / "hydrogen"
BRIDGE = Path(__file__).parents[1] / "go/mautrix"
OLDER = Path(__file__).parents[1] / "go/mautrix-older"
TAGS = "sqlite_omit_load_extension,netgo,osusergo"


def hydrogen() -> bytes:
    """Hydrogen's view SDK, built as a web client and packed as Hydrogen's own releases are; kept for the next run."""
    sources = [path for path in sorted(SOURCE.iterdir()) if path.is_file()]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    home = CACHE / f"hydrogen-{digest}"
    with lock("hydrogen"):
        if not (home / "hydrogen-web.tar.gz").exists():
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir(parents=True)
            for path in sources:
                shutil.copy(path, home)
            for words in (("ci", "--ignore-scripts", "--no-audit", "--no-fund"), ("run", "build")):
                done = subprocess.run(("npm", *words), cwd=home, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stdout + done.stderr
            pack = (
                "tar",
                "--create",
                "--gzip",
                "--file",
                str(home / "packed"),
                "--directory",
                str(home / "target"),
                "./",
            )
            subprocess.run(pack, check=True)
            (home / "packed").replace(home / "hydrogen-web.tar.gz")
            shutil.rmtree(home / "node_modules")
    return (home / "hydrogen-web.tar.gz").read_bytes()


def mautrix() -> bytes:
    """A mautrix bridge, to the network by whose name it is called."""
    return built(BRIDGE, ".", tags=f"goolm,{TAGS}", c=True).read_bytes()


def older_mautrix() -> bytes:
    """One of the older make, by the name of its network; it wants libolm3 beside it."""
    return built(OLDER, ".", tags=TAGS, c=True, shared=True).read_bytes()
