"""Programs of Go for the lab's release servers, built of other people's modules from the module proxy.

Each has a folder with a go.mod and a go.sum, which pin every module of it. What was built is kept below .cache by a
hash of all that went in; the first build of a program takes a minute or two.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from .errors import CommandFailed, LabError
from .places import REPOSITORY, lock
from .programs import say

BUILT = REPOSITORY / ".cache/go"


def go() -> str:
    """The Go that bin/setup chose: that of the virtualenv, else this machine's."""
    beside = Path(sys.executable).with_name("go")
    found = str(beside) if beside.exists() else shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if found is None:
        raise LabError("there is no Go on this machine", "run: bin/setup")
    return found


def built(
    home: Path, package: str, *, tags: str = "", flags: str = "", c: bool = False, shared: bool = False
) -> Path:
    """The program of a package, of the modules that `home` pins; `flags` are the linker's.

    `c`: there is C in it; `shared`: it needs a library that Debian has to be shared alone.
    """
    flags = f"-s -w {flags}{' -linkmode=external -extldflags=-static' * (c and not shared)}"
    words = ["build", "-trimpath", "-tags", tags, "-ldflags", flags, "-o"]
    sources = sorted(each for each in home.rglob("*") if each.is_file())
    went_in = hashlib.sha256("\n".join([*words, package]).encode())
    for each in sources:
        went_in.update(each.read_bytes())
    place = BUILT / f"{home.name}-{package.rstrip('/').rpartition('/')[2]}-{went_in.hexdigest()[:16]}"
    # One at a time: a build takes all of a small machine.
    with lock("go"):
        if not place.exists():
            compile(home, words, package, place, c=c)
    return place


def compile(home: Path, words: list[str], package: str, place: Path, *, c: bool) -> None:
    """Build it, whole or not at all."""
    began = time.monotonic()
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.new")
    argv = [go(), *words, str(draft), package]
    # Mostly no library of C's beside it: what was built on one release of Debian runs on another.
    env = {**os.environ, "CGO_ENABLED": str(int(c)), "GOFLAGS": "-mod=readonly -buildvcs=false"}
    done = subprocess.run(argv, cwd=home, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandFailed("this machine", argv, done.returncode, done.stdout, done.stderr)
    draft.replace(place)
    say(f"built {package} in {time.monotonic() - began:.0f} s")
