"""Read-only layers that guests stand on, each made once and kept by a hash of what went in.

base: a plain Debian server as one rents it. dependencies: what our package asks apt for. trust: the pretend
internet's roots. snapshot: what a guest was when it was frozen. A layer is made beside its place and renamed when it
is whole.
"""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from .errors import LabError
from .places import CACHE, lock
from .programs import call, say

SUITES = {12: "bookworm", 13: "trixie"}
# systemd-resolved, ifupdown and ssh stay out: the lab does their work from outside.
PACKAGES = (
    "systemd,systemd-sysv,dbus,ca-certificates,iproute2,procps,netbase,iputils-ping,curl,sudo,less,tzdata,"
    "python3-minimal,logrotate,cron"
)
_ANCHORS = Path("/usr/local/share/ca-certificates")
_UPDATE_TRUST = 'chroot "$ROOT" update-ca-certificates'
# Mounts and processes are private to the script, so that nothing of them stays when it is killed.
_PRIVATELY = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "sh", "-euc")
_OVERLAY = """
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$UPPER,workdir=$WORK,volatile" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs tmpfs "$ROOT/run"
[ ! -e "$ROOT/etc/resolv.conf" ] || mount --bind /etc/resolv.conf "$ROOT/etc/resolv.conf"
"""
# The package's dependencies come in as those of an empty package, so apt knows them as installed automatically.
_DEPENDENCIES = """
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\\nexit 101\\n' > "$ROOT/usr/sbin/policy-rc.d"
chmod 755 "$ROOT/usr/sbin/policy-rc.d"
chroot "$ROOT" apt-get update -q
cp "$WANTED" "$ROOT/run/wanted.deb"
chroot "$ROOT" apt-get install -q -y /run/wanted.deb
chroot "$ROOT" dpkg --purge lab-dependencies
chroot "$ROOT" apt-get clean
rm "$ROOT/usr/sbin/policy-rc.d"
"""


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]


def kept(kind: str, key: Sequence[object], make: Callable[[Path], None]) -> Path:
    """The layer of this kind with this key; made now if there is none, by one of those who ask at once."""
    path = CACHE / f"{kind}-{_digest(*key)}"
    with lock(path.name):
        if not path.exists():
            draft = CACHE / f"{path.name}.new"
            remove(draft)
            draft.mkdir(parents=True)
            make(draft)
            (draft / "fs").chmod(0o755)
            draft.replace(path)
    os.utime(path)
    return path / "fs"


def prune(used: Collection[Path]) -> None:
    """Remove layers that nobody stands on and were not asked for lately: last week's bases, last hour's roots."""
    for path in CACHE.glob("*-????????????"):
        age = time.time() - path.stat().st_mtime
        if path / "fs" in used or age < (3600 if path.name.startswith("trust-") else 14 * 86400):
            continue
        with lock(path.name, wait=False) as free:
            if free:
                say(f"removing {path.name} from the cache")
                remove(path)


def remove(path: Path) -> None:
    """Remove a directory with all in it; none is fine."""
    if path.exists():
        shutil.rmtree(path)


def _script(script: str, log: Path, **variables: str) -> None:
    """Run a shell script as root of nothing but its own mounts; what it says is in `log`."""
    with log.open("w") as file:
        done = subprocess.run(
            [*_PRIVATELY, script], env={**os.environ, **variables}, stdout=file, stderr=file, check=False
        )
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"could not make {log.parent.name.split('.')[0]}:\n{tail}", f"the whole log is {log}")


def above(lower: Sequence[Path], draft: Path, script: str, **variables: str) -> None:
    """Make `draft`/fs the layer that holds what `script` changes in $ROOT, standing on `lower` (topmost first)."""
    for name in ("fs", "work", "root"):
        (draft / name).mkdir()
    places = {
        "LOWER": ":".join(map(str, lower)),
        "UPPER": draft / "fs",
        "WORK": draft / "work",
        "ROOT": draft / "root",
    }
    _script(_OVERLAY + script, draft / "log", **{name: str(path) for name, path in places.items()}, **variables)
    remove(draft / "work")


def _pip_config() -> str:
    """This machine's pip configuration: where packages come from here is nothing that a guest could guess."""
    merged = configparser.RawConfigParser()
    merged.read(["/etc/pip.conf", Path.home() / ".config/pip/pip.conf"])
    for option in ("index_url", "extra_index_url", "trusted_host"):
        value = os.environ.get(f"PIP_{option.upper()}")
        if value:
            merged.read_dict({"global": {option.replace("_", "-"): value}})
    text = io.StringIO()
    merged.write(text)
    return text.getvalue().strip()


def _uv_config() -> str:
    """uv brings its own roots and reads none of pip's configuration: say both again in its words."""
    index = os.environ.get("PIP_INDEX_URL")
    lines = ["native-tls = true"] if any(_ANCHORS.glob("*.crt")) else []
    return "\n".join(lines + ([f'index-url = "{index}"'] if index else []))


def base(debian: int) -> Path:
    """A plain Debian server, new each week as the archive moves on, with this machine's trust and pip settings."""
    anchors = {path.name: path.read_text() for path in sorted(_ANCHORS.glob("*.crt"))}
    settings = {"pip.conf": _pip_config(), "uv/uv.toml": _uv_config()}
    suite = SUITES[debian]

    def make(draft: Path) -> None:
        say(f"making the Debian {debian} base (once a week, about 40 s)")
        root = draft / "fs"
        options = f"--variant=minbase --include={PACKAGES} --aptopt='Acquire::Languages \"none\"'"
        _script(f'mmdebstrap {options} "$SUITE" "$ROOT"', draft / "log", SUITE=suite, ROOT=str(root))
        for name, text in anchors.items():
            (root / str(_ANCHORS)[1:] / name).write_text(text)
        for name, text in settings.items():
            if text:
                (root / "etc" / name).parent.mkdir(exist_ok=True)
                (root / "etc" / name).write_text(text + "\n")
        call("chroot", str(root), "update-ca-certificates")
        say(f"the Debian {debian} base is there")

    return kept(f"base{debian}", [suite, PACKAGES, anchors, settings, time.strftime("%G-%V")], make)


def dependencies(lower: Path, deb: Path) -> Path:
    """What the package depends on and recommends, above a base."""
    fields = {
        name: call("dpkg-deb", "--field", str(deb), name).strip() for name in ("Pre-Depends", "Depends", "Recommends")
    }

    def make(draft: Path) -> None:
        say(f"installing what {deb.name} depends on (once)")
        control = draft / "wanted/DEBIAN/control"
        control.parent.mkdir(parents=True)
        lines = [f"{name}: {value}" for name, value in fields.items() if value]
        head = ["Package: lab-dependencies", "Version: 1", "Architecture: all", "Maintainer: lab <root@localhost>"]
        control.write_text("\n".join([*head, *lines, "Description: what the package depends on"]) + "\n")
        call("dpkg-deb", "--build", str(draft / "wanted"), str(draft / "wanted.deb"))
        above([lower], draft, _DEPENDENCIES, WANTED=str(draft / "wanted.deb"))
        say("the dependencies are there")

    return kept("dependencies", [str(lower), fields], make)


def trust(lower: Sequence[Path], roots: Sequence[Path]) -> Path:
    """The roots of the pretend internet above other layers, so that a new guest boots with them at once."""

    def make(draft: Path) -> None:
        names = " ".join(f'"{path}"' for path in roots)
        place = f'"$ROOT{_ANCHORS}"'
        script = (
            f'rm -f {place}/lab-*.crt; for f in {names}; do cp "$f" {place}/lab-${{f##*/}}; done\n{_UPDATE_TRUST}'
        )
        above(lower, draft, script)

    return kept("trust", [list(lower), [path.read_text() for path in roots]], make)


def trusts(root: Path, roots: Sequence[Path]) -> bool:
    """Whether a guest's file system trusts these roots and no others of the lab."""
    found = {path.name: path.read_text() for path in (root / str(_ANCHORS)[1:]).glob("lab-*.crt")}
    return found == {f"lab-{path.name}": path.read_text() for path in roots}


def give_trust(root: Path, roots: Sequence[Path]) -> None:
    """Make a guest's file system trust these roots; the caller runs update-ca-certificates in it."""
    place = root / str(_ANCHORS)[1:]
    place.mkdir(parents=True, exist_ok=True)
    for path in place.glob("lab-*.crt"):
        path.unlink()
    for path in roots:
        shutil.copy(path, place / f"lab-{path.name}")
