"""Archives as upstreams make them, and keys to sign them with: made here, so that a test knows their hashes."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from matrix_baremetal.versions import Packed, Versions, read


def archive(files: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    """A .tar.gz of these files; a `TarInfo` goes in as it is, without a content. The same bytes each time."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=1) as tar:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o666
            tar.addfile(member, io.BytesIO(content))
    # gzip writes the time into its head (RFC 1952, MTIME).
    made = bytearray(raw.getvalue())
    made[4:8] = bytes(4)
    return bytes(made)


def odd(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """A member that is no file."""
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def sha256(data: bytes) -> str:
    """Its hash, as pins have it."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Signer:
    """Somebody with a key; `then` is the day on which it was made, which it outlives by `days` (0: it lasts)."""

    home: Path
    days: int = 0
    then: str = "20260101T000000"

    def gpg(self, *words: str, input: bytes = b"", then: str = "") -> bytes:
        """Run gpg with this keyring."""
        common = ("gpg", "--batch", "--quiet", "--homedir", str(self.home), "--passphrase", "", "--pinentry-mode")
        clock = ("--faked-system-time", f"{then}!") if then else ()
        done = subprocess.run((*common, "loopback", *clock, *words), input=input, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def make(self) -> None:
        """Make the key."""
        self.home.mkdir(mode=0o700)
        until = f"{self.days}d" if self.days else "never"
        self.gpg(
            "--quick-generate-key", "Releases <releases@upstream.test>", "ed25519", "sign", until, then=self.then
        )

    @property
    def fingerprint(self) -> str:
        """The key's, of forty digits."""
        rows = self.gpg("--with-colons", "--list-keys").decode().splitlines()
        return next(row.split(":")[9] for row in rows if row.startswith("fpr:"))

    @property
    def key(self) -> bytes:
        """The public key, as a vendor puts it on the web."""
        return self.gpg("--armor", "--export")

    def sign(self, data: bytes, *words: str) -> bytes:
        """A detached signature of these bytes, of the day on which the key was made."""
        return self.gpg("--armor", *words, "--detach-sign", input=data, then=self.then)

    def end(self) -> None:
        """Let the agent go."""
        subprocess.run(("gpgconf", "--homedir", str(self.home), "--kill", "all"), check=False)


# What upstreams publish, as far as a test cares, by the names that versions.yaml has for it.
STAND_INS = {
    "element": archive({"element-v1/index.html": b"<html>Element", "element-v1/bundles/0123456789abcdef/a.js": b"1"}),
    "hydrogen": archive({"./index.html": b"<html>Hydrogen", "./assets/index.01234567.js": b"1"}),
    "ketesa": archive({"ketesa/index.html": b"<html>Ketesa", "ketesa/assets/index-Ab3_dE7x.js": b"1"}),
    "synapse_admin": archive({"synapse-admin-0/index.html": b"<html>Synapse-Admin"}),
}

LIVEKIT = archive({"LICENSE": b"free", "livekit-server": b"program"})
# Which is no archive, and not pinned: a config has to name it.
TOKENS, TOKENS_URL = b"another program", "https://mirror.example.net/lk-jwt-service_linux_amd64"
# Element Call's, which is not pinned either.
CALL_PAGE_FILES = {
    "index.html": b"<!doctype html><title>Element Call</title>",
    "assets/index-DT6T9pS7.js": b"1",
}
CALL_PAGE = archive({f"element-call-0.24.0/{name}": data for name, data in CALL_PAGE_FILES.items()})
CALL_PAGE_URL = "https://mirror.example.net/element-call-0.24.0.tar.gz"


# The key of a repository, as far as its fingerprint goes: a packet of version 4 (RFC 9580), of no use to sign with.
APT_KEY = b"\x98\x0a\x04" + b"of upstre"
FINGERPRINT = "63DF3D6AD9DBCF7A01892A3B12A7717E9C505CFC"


def versions() -> Versions:
    """What this release ships, with archives that a test has in place of upstream's."""
    pins = {n: replace(p, sha256=sha256(STAND_INS[n]), signature=None) for n, p in read().releases.items()}
    programs = {n: stood_in(p, n.encode()) for n, p in read().programs.items()}
    livekit = stood_in(read().livekit, LIVEKIT)
    return replace(read(), **pins, **programs, livekit=livekit, jitsi=replace(read().jitsi, fingerprint=FINGERPRINT))  # type: ignore[arg-type]


def stood_in(packed: Packed, data: bytes) -> Packed:
    """What a test has in its place, for whatever processor."""
    digest = sha256(data)
    x86_64, aarch64 = (replace(build, sha256=digest) for build in (packed.x86_64, packed.aarch64))
    return replace(packed, x86_64=x86_64, aarch64=aarch64)


def offered() -> dict[str, bytes]:
    """Those archives by the addresses that they are published at."""
    found = {pin.url: STAND_INS[name] for name, pin in read().releases.items()}
    builds = {b.url: n.encode() for n, p in read().programs.items() for b in (p.x86_64, p.aarch64)}
    found |= builds | {read().livekit.x86_64.url: LIVEKIT, read().jitsi.key: APT_KEY}
    return found | {TOKENS_URL: TOKENS, CALL_PAGE_URL: CALL_PAGE}
