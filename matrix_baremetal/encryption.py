"""How a backup is encrypted to somebody's public key, by age or by gpg, and read again with the private one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, BinaryIO

from matrix_baremetal.archive import Damaged
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.shell import Failed

ZSTD, AGE = b"\x28\xb5\x2f\xfd", b"age-encryption.org/v1\n"
# gpg keeps what it knows in a directory, and starts an agent there: one that goes with this run.
HOME = "/run/matrix-baremetal/gnupg"
ENDINGS = {"age": ".age", "gpg": ".gpg"}
PACKAGES = {"age": "age", "gpg": "gnupg"}


def kind(recipient: str) -> str:
    """Which program a recipient of the config is for: age knows them by how they begin, gpg reads a key's file."""
    return "gpg" if recipient.startswith("/") else "age"


@contextlib.contextmanager
def encrypted(host: Host, recipient: str, source: BinaryIO) -> Iterator[BinaryIO]:
    """What `source` holds, for that recipient's eyes alone."""
    if kind(recipient) == "age":
        with host.run.reading("age", "--encrypt", "--recipient", recipient, source=source) as out:
            yield out
        return
    with keyring(host) as gpg:
        trust = ("--trust-model", "always", "--compress-algo", "none")
        with host.run.reading(*gpg, *trust, "--recipient-file", recipient, "--encrypt", source=source) as out:
            yield out


@contextlib.contextmanager
def plain(host: Host, path: str, source: BinaryIO, identity: str | None) -> Iterator[BufferedReader[Any]]:
    """The archive in an open file, decrypted where it has to be and unpacked. `identity` is a private key's file.

    Raises `Damaged` where it is none of ours or does not come to its end.
    """
    begin = source.read(len(AGE))
    source.seek(0)
    try:
        if begin.startswith(ZSTD):
            with host.run.reading("zstd", "-dcq", source=source) as out:
                yield out
        elif begin == AGE or path.endswith(ENDINGS["gpg"]):
            with (
                decrypted(host, begin == AGE, source, identity) as inner,
                host.run.reading("zstd", "-dcq", source=inner) as out,
            ):
                yield out
        else:
            raise Damaged(f"{path} is no backup of matrix-baremetal, or its beginning is lost")
    except Failed as error:
        words = error.result.last_words.replace("/*stdin*\\ : ", "")
        raise Damaged(f"{path} can't be read to its end: {words or error.message}") from None


@contextlib.contextmanager
def decrypted(host: Host, by_age: bool, source: BinaryIO, identity: str | None) -> Iterator[BufferedReader[Any]]:
    """What was encrypted, in plain."""
    if by_age:
        if identity is None:
            raise Error("this backup is encrypted", hint="say where the private key is: --identity KEYFILE")
        with host.run.reading("age", "--decrypt", "--identity", identity, source=source) as out:
            yield out
        return
    with keyring(host) as gpg:
        # Without a file it is root's own keyring that has the key.
        if identity is not None:
            host.run(*gpg, "--import", identity)
        words = gpg if identity is not None else ("gpg", "--batch", "--quiet")
        with host.run.reading(*words, "--decrypt", source=source) as out:
            yield out


@contextlib.contextmanager
def keyring(host: Host) -> Iterator[tuple[str, ...]]:
    """gpg, with a keyring that is empty and goes afterwards: one a process, as two may read at the same time."""
    place = f"{HOME}/{os.getpid()}"
    homedir = str(host.path(place))
    for name in host.names(HOME):
        # Of a run that was killed; of one that is at work nothing goes.
        if name == str(os.getpid()) or not os.path.exists(f"/proc/{name}"):
            host.remove_tree(f"{HOME}/{name}")
    host.mkdir(HOME, 0o700)
    host.mkdir(place, 0o700)
    try:
        yield ("gpg", "--batch", "--quiet", "--homedir", homedir)
    finally:
        if host.node(f"{place}/S.gpg-agent"):
            host.run("gpgconf", "--homedir", homedir, "--kill", "all", ok=range(256))
        # Its agent goes on for a moment, and may put something there meanwhile.
        for _ in range(20):
            host.remove_tree(place)
            if host.node(place) is None:
                break
            time.sleep(0.05)
        host.remove(HOME)
