"""All that the homeserver has of one person, in one archive: Synapse's own export, and the files that it names.

Synapse writes what it knows in JSON, one object behind the other; here each is a line of its own. Both halves run as
the homeserver's user: what that can't read is in no archive, whatever its folders hold.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host, said_of
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.matrix import HomeserverConfig, in_unit, writing
from matrix_baremetal.resources.port import config_file
from matrix_baremetal.shell import Failed

UNIT = "matrix-baremetal-export.service"
SCRATCH = "/var/lib/matrix-baremetal/export"


def export(host: Host, wanted: HomeserverConfig, user: str, media: str, place: Path) -> None:
    """Write the archive of a user to `place`, a gzipped tar for root alone; `media` is where Synapse keeps files.

    Raises `Error` where Synapse fails or the file can't be written; then there is none.
    """
    owner = wanted.group
    # What a run that was killed left.
    host.run("systemctl", "stop", UNIT, ok=range(256), timeout=120)
    host.remove_tree(SCRATCH)
    host.mkdir(SCRATCH, 0o700, owner=owner, group=owner)
    try:
        gathered(host, wanted, user)
        packed(host, owner, media, place)
    finally:
        host.remove_tree(SCRATCH)


def gathered(host: Host, wanted: HomeserverConfig, user: str) -> None:
    """Have Synapse write what it knows below `SCRATCH`. Raises `Error`."""
    with config_file(host, wanted.read_by(UNIT), wanted.group) as path:
        configs = [word for each in (path, *wanted.more) for word in ("-c", each)]
        words = (
            *in_unit(UNIT, wanted.group, wanted.credentials, *writing(SCRATCH)),
            *(wanted.python, "-B", "-P", "-m", "synapse.app.admin_cmd", *configs),
            *("export-data", user, "--output-directory", f"{SCRATCH}/data"),
        )
        try:
            host.run(*words, timeout=24 * 3600)
        except Failed as error:
            raise Error(
                f"Synapse could not write down what it has of {user}: {error.result.last_words}",
                hint="matrix-baremetal status",
            ) from None


def packed(host: Host, owner: str, media: str, place: Path) -> None:
    """Make one file of it, whole or not at all. Raises `Error`."""
    part = place.with_name(f".{place.name}.part")
    places = (str(host.path(SCRATCH)), str(host.path(media)))
    words = (*as_user(owner), "/usr/bin/python3", "-I", "-c", PACK, *places)
    with contextlib.suppress(OSError):
        part.unlink()
    try:
        with said_of(str(place)), os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with host.run.reading(*words) as out:
                shutil.copyfileobj(out, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, Failed):
            message = f"the archive could not be made: {error.result.last_words}"
            raise Error(message, hint="df -h; matrix-baremetal status") from None
        raise


# What Synapse calls a file is looked up by the first letters of its name (its docs/media_repository.md).
PACK = """\
import io, json, os, pathlib, sys, tarfile
scratch, media = map(pathlib.Path, sys.argv[1:3])
data = scratch / "data"

def lines(text):
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        found, at = decoder.raw_decode(text, at)
        yield json.dumps(found, ensure_ascii=False)

with tarfile.open(fileobj=sys.stdout.buffer, mode="w|gz") as tar:
    for path in sorted(each for each in data.rglob("*") if each.is_file()):
        whole = "".join(f"{line}\\n" for line in lines(path.read_text())).encode()
        row = tarfile.TarInfo(f"{path.relative_to(data)}.jsonl")
        row.size, row.mtime, row.mode = len(whole), path.stat().st_mtime, 0o600
        tar.addfile(row, io.BytesIO(whole))
    for path in sorted((data / "media_ids").glob("*")):
        name = path.name
        file = media / "local_content" / name[:2] / name[2:4] / name[4:]
        if file.is_file():
            row = tar.gettarinfo(file, f"media/{name}")
            row.uid = row.gid = 0
            row.uname = row.gname = ""
            row.mode = 0o600
            with open(file, "rb") as content:
                tar.addfile(row, content)
"""
