"""An existing Synapse as its own files say: its settings, its key, its secrets, and where its rows and media are.

It is only read, here and by whoever takes it over. What its settings mean to us is for `takeover`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from matrix_baremetal import federation, yamlfile
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.takeover import OWN

# Where Synapse's image has the folder that is DATA_DIR for us.
MOUNTED = "/data"
# Where Debian's package has its config, and Synapse's own packages too.
ETC = "/etc/matrix-synapse"
MADE_BY_US = b"# Written by matrix-baremetal"
# What Synapse keeps below media_store_path.
MEDIA = (
    *("local_content", "local_thumbnails", "remote_content", "remote_thumbnail"),
    *("url_cache", "url_cache_thumbnails"),
)


@dataclass(frozen=True)
class Source:
    """`folder` is DATA_DIR, `mounted` its name within a container; without one, paths mean what they say."""

    folder: str
    mounted: str
    settings: dict[str, Any]

    def place(self, path: str) -> str:
        """Where a path of its settings is on this machine."""
        if self.mounted and f"{path}/".startswith(f"{self.mounted}/"):
            return self.folder + path.removeprefix(self.mounted)
        return path if path.startswith("/") else f"{self.folder}/{path}"

    @property
    def docker(self) -> bool:
        """Whether it is a container's."""
        return self.mounted == MOUNTED

    @property
    def server_name(self) -> str:
        """The part after the colon."""
        return str(self.settings.get("server_name", ""))

    @property
    def driver(self) -> str:
        """Synapse's word for its database: sqlite3 or psycopg2."""
        return str(self._database.get("name", "sqlite3"))

    @property
    def _database(self) -> dict[str, Any]:
        found = self.settings.get("database")
        return found if isinstance(found, dict) else {}

    @property
    def arguments(self) -> dict[str, Any]:
        """How it connects to its database; there may be a password in it."""
        found = self._database.get("args")
        return found if isinstance(found, dict) else {}

    @property
    def database(self) -> str:
        """The name of its Postgres database."""
        return str(self.arguments.get("dbname") or self.arguments.get("database") or "synapse")

    @property
    def role(self) -> str:
        """The role that it connects as."""
        return str(self.arguments.get("user") or "synapse")

    @property
    def file(self) -> str:
        """Its SQLite file."""
        return self.place(
            str(self.arguments.get("database") or self.settings.get("database_path") or "homeserver.db")
        )

    @property
    def media(self) -> str:
        """Where its media are."""
        return self.place(str(self.settings.get("media_store_path") or "media_store"))

    def key(self, host: Host) -> str | None:
        """Its signing keys, as their file has them; None where there is none."""
        inline = self.settings.get("signing_key")
        if isinstance(inline, str):
            return inline.rstrip("\n") + "\n"
        named = self.settings.get("signing_key_path") or f"{self.server_name}.signing.key"
        return host.text(self.place(str(named)))

    def secrets(self, host: Host) -> dict[str, str]:
        """Its own secrets by name, as far as it has them."""
        found = {}
        for name in OWN:
            text = self.settings.get(name)
            if text is None and (path := self.settings.get(f"{name}_path")):
                text = (host.text(self.place(str(path))) or "").strip()
            if text:
                found[name] = str(text)
        return found

    def obstacles(self, host: Host) -> Iterator[Obstacle]:
        """What of it can't be read, or can't be taken over."""
        key = self.key(host)
        if not key:
            yield Obstacle(
                "its signing key is not there: without it, other servers would not know this one",
                f"find it (signing_key_path in {self.folder}/homeserver.yaml) and put it there",
            )
        else:
            try:
                federation.public_key(key)
            except federation.Unsound as error:
                yield Obstacle(
                    f"its signing key can't be used: {error}", "put it back from a backup of the old server"
                )
        if "databases" in self.settings or self.driver not in ("sqlite3", "psycopg2"):
            yield Obstacle("it has more than one database", "move all tables into one first: see Synapse's docs")
        if link := link_below(host, self.media):
            yield Obstacle(
                f"{link} is no file, and media are copied as files", f"put what it stands for in its place: {link}"
            )


def docker(host: Host, folder: str) -> Source:
    """The folder that a container of Synapse's image has at /data."""
    path = f"{folder}/homeserver.yaml"
    text = host.read(path)
    if text is None:
        raise Error(
            f"there is no homeserver.yaml in {folder}",
            hint="name the folder that the container has at /data: docker inspect CONTAINER | grep -A9 Mounts",
        )
    return Source(folder, MOUNTED, yamlfile.foreign(text, path))


def debian(host: Host, folder: str, read: str) -> Source:
    """The folder of Debian's package: conf.d goes over homeserver.yaml, a key of one file replacing that of another
    whole, as Synapse itself merges files. `read` is where its files are, which may be a copy.
    """
    path = f"{read}/homeserver.yaml"
    text = host.read(path)
    if text is None or text.startswith(MADE_BY_US):
        what = "that of matrix-baremetal itself" if text else "not there"
        raise Error(
            f"{folder}/homeserver.yaml is {what}", hint="name the folder that the old package had its config in"
        )
    settings = yamlfile.foreign(text, path)
    for name in host.names(f"{read}/conf.d"):
        if name.endswith(".yaml") and (more := host.read(f"{read}/conf.d/{name}")):
            settings |= yamlfile.foreign(more, f"{read}/conf.d/{name}")
    return Source(read, ETC, settings)


def link_below(host: Host, folder: str) -> str | None:
    """The first thing among media that is neither a file nor a directory."""
    for part in MEDIA:
        for directory, folders, files in os.walk(host.path(f"{folder}/{part}")):
            for name in (*folders, *files):
                place = os.path.join(directory, name)
                if os.path.islink(place) or not (os.path.isdir(place) or os.path.isfile(place)):
                    return place
    return None
