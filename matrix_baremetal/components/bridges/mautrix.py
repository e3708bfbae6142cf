"""The mautrix bridges, of one kind: upstream's own program, a database, accounts that are people's doubles.

A bridge is one file beside this. It is a bridgev2 bridge, whose config has the same form whatever the network
(upstream's mautrix-go, bridgev2/matrix/mxmain/example-config.yaml), but for Discord's; what is not said there is as
upstream has it.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from matrix_baremetal.checks.bridges import Kept
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.bridges.bridge import OPT, SETTING, Bridge
from matrix_baremetal.components.component import ETC
from matrix_baremetal.components.programs import program
from matrix_baremetal.config_beside import Mautrix
from matrix_baremetal.data import Data
from matrix_baremetal.facts import sqlite_file
from matrix_baremetal.needs import Database, Need, Needs, Setting
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.resources.files import Directory, Secret
from matrix_baremetal.resources.postgres_store import PostgresStore
from matrix_baremetal.resources.registrations import Registration
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.sqlite_store import SqliteStore
from matrix_baremetal.resources.store import Store

# The oldest release that upstream supports (docs.mau.fi, "Go bridge setup").
POSTGRES = 16
# The table in which these bridges note their schema's version.
VERSIONS = "version"
# Connections that each opens at most.
POOL = 5


class MautrixBridge(Bridge):
    """One of them; `network` is how people call the other network."""

    network: ClassVar[str]

    @property
    @abstractmethod
    def asked(self) -> Mautrix:
        """What the config says of it."""

    def wanted(self) -> bool:
        """As the config says."""
        return self.asked.enabled

    @property
    def why_file(self) -> str:
        """Why its rows are in a file and not in Postgres; empty where they are there."""
        if self.config.database == "sqlite":
            return "the config says database: sqlite"
        if (major := self.site.cluster.major) < POSTGRES:
            return f"it asks for Postgres {POSTGRES}, and this machine has {major}"
        return "it began with one" if self.user in self.site.facts.in_files else ""

    @property
    def store(self) -> Store:
        """Where its rows are."""
        if self.why_file:
            return SqliteStore(sqlite_file(self.user), self.user, VERSIONS)
        return PostgresStore(self.user, self.site.cluster, POOL, versions=VERSIONS)

    @property
    def keeps(self) -> str:
        """Where it has what it knows, for people."""
        return f"in an SQLite file: {self.why_file}" if self.why_file else "in Postgres"

    @property
    def tokens(self) -> tuple[Secret, ...]:
        """Those of every bridge, one for people's doubles, and the key of the keys in its database."""
        doubles = f"shows Synapse that the bridge to {self.network} may act as its people"
        return (
            *super().tokens,
            self.secret("puppet_token", doubles),
            self.secret("unused_token", "is shown to nobody, and has to be there"),
            self.secret("pickle_key", f"encrypts the keys in the database of the bridge to {self.network}", None),
        )

    @property
    def puppets(self) -> Registration:
        """By which it acts as those who use it: what they write on their phone is theirs here too.

        The way of docs.mau.fi, "Double puppeting": nothing is sent to it, so it has no address.
        """
        everybody = f"@.*:{re.escape(self.config.server_name)}"
        content = {
            "id": f"{self.name}-puppets",
            "url": None,
            "as_token": "{puppet_token}",
            "hs_token": "{unused_token}",
            "sender_localpart": f"_{self.name}_puppets",
            "rate_limited": False,
            "namespaces": {"users": [{"regex": everybody, "exclusive": False}], "aliases": [], "rooms": []},
        }
        return self.made("-puppets", json.dumps(content, indent=1) + "\n")

    @property
    def settings(self) -> Registration:
        """Its config, which it is handed and can't change."""
        why = f" Rows are in an SQLite file: {self.why_file}." if self.why_file else ""
        head = f"# Written by matrix-baremetal from bridges.{self.name} of its config.{why}\n"
        made = self.made("-config", f"{head}{json.dumps(self.written(), indent=1)}\n")
        return replace(made, called="file", borrowed=tuple(self.borrowed.items()))

    def needs(self) -> Iterator[Need]:
        yield from super().needs()
        yield Setting(SETTING, files=(self.puppets,), many=True)
        if not self.why_file:
            yield Database(self.user)

    def program(self) -> Iterator[Resource]:
        """Upstream's program, its config, and a directory where its rows are in a file."""
        site = self.site
        version = site.versions.programs[f"mautrix_{self.name}"]
        yield Directory(OPT, 0o755)
        yield program(f"bridges/{self.name}", version, site.facts.architecture, self.asked.release, site.wheelhouse)
        yield self.settings
        if self.why_file:
            for place in (f"/var/lib/{self.user}", f"/var/lib/{self.user}/database"):
                yield Directory(place, 0o700, owner=self.user, group=self.user)

    def reads(self) -> tuple[str, ...]:
        """The version that is the current one, and its config."""
        return f"{OPT}/{self.name}/current", self.settings.path

    def data(self, needs: Needs) -> Data:
        files = tuple(path for path in self.borrowed.values() if path.startswith(f"{ETC}/"))
        return Data(files, stores={f"bridge-{self.name}": self.store}, units=(self.unit,))

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield from super().checks(needs)
        yield Kept(self.name, self.unit, self.store, self.keeps)

    def registered(self) -> dict[str, Any]:
        """What the homeserver is told of it: the bot is one of its people, as encryption asks for.

        docs.mau.fi, "End-to-bridge encryption": the sender must be somebody else than the bot.
        """
        found = super().registered()
        bot = {"regex": re.escape(self.account), "exclusive": True}
        found["sender_localpart"] = f"_{self.name}_bridge"
        found["namespaces"]["users"].append(bot)
        typing = {"receive_ephemeral": True, "de.sorunome.msc2409.push_ephemeral": True}
        return {**found, **typing, "io.element.msc4190": True}

    @property
    def borrowed(self) -> dict[str, str]:
        """Files of the operator's that its config has something of, by what stands for it there."""
        return {}

    def network_settings(self) -> dict[str, Any]:
        """What only this network's bridge has, as far as it is not as upstream has it."""
        return {}

    def _permissions(self) -> dict[str, str]:
        """Who may do what; of anybody else it takes nothing."""
        name = self.config.server_name
        users = {f"@{user}:{name}": "user" for user in self.asked.users} or {name: "user"}
        return users | {f"@{admin}:{name}": "admin" for admin in self.asked.admins}

    def _database(self) -> dict[str, Any]:
        """Where its rows are, as it takes it."""
        store, most = self.store, {"max_open_conns": POOL, "max_idle_conns": 1}
        if isinstance(store, SqliteStore):
            return {"type": "sqlite3-fk-wal", "uri": f"file:{store.path}?_txlock=immediate", **most}
        where = f"host=/run/postgresql port={self.site.cluster.port} user={self.user} dbname={self.user}"
        return {"type": "postgres", "uri": f"{where} sslmode=disable", **most}

    def written(self) -> dict[str, Any]:
        """Its config."""
        name = self.config.server_name
        return {
            "network": self.network_settings(),
            "bridge": {"permissions": self._permissions()},
            "database": self._database(),
            "homeserver": {"address": f"http://127.0.0.1:{PORT}", "domain": name},
            "appservice": {
                "address": f"http://127.0.0.1:{self.port}",
                "hostname": "127.0.0.1",
                "port": self.port,
                "id": self.bot,
                "bot": {"username": self.bot, "displayname": f"{self.network} bridge"},
                "ephemeral_events": True,
                "as_token": "{as_token}",
                "hs_token": "{hs_token}",
                "username_template": f"{self.people}{{{{.}}}}",
            },
            # Nobody but Synapse has to reach it.
            "provisioning": {"shared_secret": "disable", "allow_matrix_auth": False},
            "double_puppet": {"servers": {}, "secrets": {name: "as_token:{puppet_token}"}},
            "backfill": {"enabled": True},
            "encryption": {
                "allow": True,
                "default": True,
                "pickle_key": "{pickle_key}",
                # By Synapse's own API for devices of bridges, which stays when logins move elsewhere (MSC4190). It
                # signs itself, as clients warn of devices that nobody has signed.
                "msc4190": True,
                "self_sign": True,
            },
            "logging": {"min_level": "info", "writers": [{"type": "stdout", "format": "pretty"}]},
        }
