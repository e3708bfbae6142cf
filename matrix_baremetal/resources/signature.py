"""An OpenPGP signature beside a release, checked against one key that is pinned by its fingerprint.

gpg and not gpgv, which looks neither at a key's expiry nor at its revocation (its man page, "gpgv assumes").
"""

from __future__ import annotations

import shutil

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host, said_of
from matrix_baremetal.versions import Signature

# What gpg says of a signature that is none of use (DETAILS of GnuPG, "Status codes").
FAULTS = {
    "BADSIG": "is of another file",
    "EXPSIG": "has expired",
    "EXPKEYSIG": "was made with a key that has expired",
    "REVKEYSIG": "was made with a key that was revoked",
    "NO_PUBKEY": "was made with another key",
    "ERRSIG": "can't be checked",
}
MOST_BYTES = 1 << 20


def get(host: Host, url: str, place: str, most: int, shelf: str | None) -> None:
    """Have the file of an address at `place`: from a directory that has one of that name, or from the web."""
    kept = f"{shelf}/{url.rpartition('/')[2]}"
    if shelf and host.node(kept):
        with said_of(place):
            shutil.copyfile(host.path(kept), host.path(place))
    else:
        host.net.fetch(url, host.path(place), most)


def check(host: Host, signature: Signature, archive: str, place: str, shelf: str | None = None) -> None:
    """Hold that upstream's key has signed an archive; `place` is a directory to work in. Raises `Error`."""
    files = {name: f"{place}/{name}.asc" for name in ("signature", "key")}
    get(host, signature.url, files["signature"], MOST_BYTES, shelf)
    get(host, signature.key, files["key"], MOST_BYTES, shelf)
    home = f"{place}/gnupg"
    host.mkdir(home, 0o700)
    gpg = ("gpg", "--batch", "--no-autostart", "--no-auto-key-retrieve", "--homedir", str(host.path(home)))
    host.run(*gpg, "--quiet", "--import", str(host.path(files["key"])), ok=range(256))
    seen = host.run(
        *(*gpg, "--trust-model", "always", "--status-fd", "1", "--verify"),
        *(str(host.path(files["signature"])), str(host.path(archive))),
        ok=range(256),
    )
    host.remove_tree(home)
    for path in files.values():
        host.remove(path)
    if why := fault(seen.out, signature.fingerprint):
        raise Error(
            f"the signature {signature.url} {why}, so nothing was installed",
            hint="try again later; where it stays so, tell those who made the release",
        )


def fault(status: str, fingerprint: str) -> str:
    """Why a signature counts for nothing, by gpg's status lines; empty where it is good and by this key."""
    rows = [line.split()[1:] for line in status.splitlines() if line.startswith("[GNUPG:] ")]
    said = {row[0] for row in rows if row}
    for word, why in FAULTS.items():
        if word in said:
            return why
    makers = {row[-1] for row in rows if row and row[0] == "VALIDSIG"}
    if "GOODSIG" not in said or not makers:
        return "is none"
    return "" if makers == {fingerprint} else "was made with another key"
