"""A Postgres that knows the statements that we send, each by its whole text, and no other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from matrix_baremetal import postgres_major, rows_back
from matrix_baremetal.checks import database, growth
from matrix_baremetal.resources import (
    admin_api,
    alert_room,
    cluster_move,
    clusters,
    matrix,
    monitor,
    opening,
    port,
    postgres,
    postgres_copy,
    postgres_store,
    postgres_upkeep,
    schema,
    store,
    tally,
)
from matrix_baremetal.resources.postgres_store import quoted
from matrix_baremetal.shell import Result

HASHED = "(the hash of a password)"


@dataclass
class Base:
    """A database."""

    owner: str
    encoding: str = "UTF8"
    collate: str = "C"
    ctype: str = "C"
    comment: str = ""
    tables: int = 0
    provider: str = "c"
    version: bool = False
    compat: str = "84"


SOUND = {
    "SELECT 1;": [["1"]],
    database.VERSION: [["150004"]],
    database.WRITABLE: [["f", "off"]],
    database.SETTINGS: [],
    database.UPDATES: [],
    database.DESTINATIONS: [["3", "0"]],
    growth.BLOAT: [["event_json", str(40 << 20), str(4 << 20)]],
    growth.TABLES: [["event_json", str(40 << 20)], ["state_groups_state", str(30 << 20)]],
    store.NUMBERS: [["2", "5"]],
    opening.NEWEST: [[""]],
    quoted(tally.COUNT): [["2", "5", "3", "0", str(9 << 20), str(4 << 20)]],
    postgres_major.TABLESPACES: [],
    postgres_major.SIZES: [["8388608"]],
    rows_back.WRITTEN: [["7", "0", "3", "2", "2", "1"]],
    store.UPDATES: [],
}


# Of Synapse, and of mautrix's bridges.
TABLES = (store.SCHEMA, "version")
COUNTS, NOTED = [postgres_copy.COUNT.format(table) for table in TABLES], [store.noted(table) for table in TABLES]


@dataclass
class FakePostgres:
    """Roles with their comments, databases, and of Synapse's tables the accounts (name, whether an admin).

    `server` is its release, `connections` its most, those kept, and those of others; `rule` is
    the line and method of pg_hba.conf for our role, `refusal` what it is told instead of being let in, `superuser`
    what even the superuser is told.
    `about` holds what else the admin API knows of an account; `access` our own tokens, each with its user and its
    end; `passing` those users, `forgotten` the tokens that are logged out.
    `lasting` are tokens without an end, each with its user, `rooms` who is what in each, `messages` what was said.
    `parts` are tables and indexes as they are measured (kind, table, bytes, empty ones, dead rows, rows), `half` the
    indexes that a kill left half made, `tended` each statement that was run on one.
    `says` are the answers to what doctor asks, where they are not those of a sound server.
    """

    roles: dict[str, str] = field(default_factory=lambda: {"postgres": ""})
    bases: dict[str, Base] = field(default_factory=dict)
    accounts: dict[str, bool] = field(default_factory=dict)
    server: int = 150013
    connections: tuple[int, int, int] = (100, 3, 0)
    rule: tuple[int, str] = (96, "peer")
    refusal: str = ""
    superuser: str = ""
    read_only: bool = False
    standby: bool = False
    monitors: set[str] = field(default_factory=set)
    hashes: dict[str, str] = field(default_factory=dict)
    deactivated: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)
    about: dict[str, dict[str, Any]] = field(default_factory=dict)
    registration_tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    access: dict[str, tuple[str, int]] = field(default_factory=dict, compare=False)
    passing: set[str] = field(default_factory=set, compare=False)
    forgotten: set[str] = field(default_factory=set, compare=False)
    says: dict[str, list[list[str]]] = field(default_factory=dict)
    parts: dict[str, tuple[str, str, int, int, int, int]] = field(default_factory=dict)
    lasting: dict[str, str] = field(default_factory=dict, compare=False)
    rooms: dict[str, dict[str, str]] = field(default_factory=dict)
    messages: list[dict[str, str]] = field(default_factory=list)
    half: list[str] = field(default_factory=list)
    tended: list[tuple[str, str]] = field(default_factory=list)

    def psql(self, words: tuple[str, ...], sql: str) -> Result:
        """psql(1), started as the superuser, or as a role by the system user of its name."""
        assert any(word.rpartition("/")[2] == "psql" for word in words), words
        refused = self.refusal if "-U" in words else self.superuser
        if refused:
            return Result(2, "", f"psql: error: {refused}")
        values = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "-v")
        for name, value in re.findall(r"^\\set (\w+) '(.*)'\n", sql, re.MULTILINE):
            values[name] = value
        sql = re.sub(r"^\\set .*\n", "", sql, flags=re.MULTILINE) if sql.startswith("\\set") else sql
        database = words[words.index("-d") + 1]
        if database not in ("postgres", *self.bases):
            return Result(2, "", f'FATAL:  database "{database}" does not exist')
        rows = self._rows(sql, values, database) if sql.startswith("SELECT") else self._change(sql, values, database)
        return Result(0, "".join("\x1f".join(row) + "\n" for row in rows), "")

    def _rows(self, sql: str, values: dict[str, str], database: str) -> list[list[str]]:
        name = values.get("name", "")
        base = self.bases.get(name)
        if sql == postgres_upkeep.LEFTOVERS:
            return [["public", index, index.partition("_cc")[0], "8192"] for index in self.half]
        if sql in self.says or sql in SOUND:
            return self.says.get(sql) or SOUND[sql]
        if sql == schema.COMPAT:
            return [[self.bases[database].compat]]
        if sql == postgres.FIND_ROLE:
            return [[self.roles[name]]] if name in self.roles else []
        if sql == monitor.FIND:
            return [[self.roles[name], "ft"[name in self.monitors]]] if name in self.roles else []
        if sql == postgres.FIND_DATABASE:
            rows = [base] if base else []
            return [[b.owner, b.encoding, b.collate, b.ctype, b.provider, b.comment] for b in rows]
        if sql == postgres_store.OURS_ALL:
            owned = [(n, b) for n, b in self.bases.items() if b.owner == values["owner"]]
            return [[n] for n, b in owned if b.comment.startswith(values["comment"])]
        if sql == postgres_copy.FIND:
            return [[base.comment, base.owner]] if base else []
        if sql in COUNTS:
            seen = self.bases[database]
            return [["93", str(seen.tables)]] if seen.version else []
        if sql == postgres.COUNT_TABLES:
            return [[str(self.bases[database].tables)]]
        if sql in NOTED:
            return [["1"]] if self.bases[database].version else []
        if sql == quoted(matrix.FIND_USER):
            password = str(int(name in self.hashes or name in self.deactivated))
            return [[str(int(self.accounts[name])), password]] if name in self.accounts else []
        if sql == quoted(alert_room.THERE):
            return [["1"]] if name in self.accounts and name not in self.deactivated else []
        if sql == quoted(alert_room.OTHERS):
            return [["1"]] if name in self.hashes or name in self.deactivated else []
        if sql == matrix.LIST_USERS:
            gone = self.deactivated
            return [[u, str(int(a)), str(int(u in gone)), "1700000000"] for u, a in self.accounts.items()]
        return self._state(sql, base)

    def _state(self, sql: str, base: Base | None) -> list[list[str]]:
        """What the server says of itself."""
        if sql == clusters.SEEN:
            ours = sum(b.comment == postgres.OURS for b in self.bases.values())
            others = sum("by matrix-baremetal" not in b.comment for b in self.bases.values())
            return [[str(self.server), str(others), str(ours)]]
        if sql == postgres_major.OTHERS:
            return [[name, b.owner] for name, b in self.bases.items() if "by matrix-baremetal" not in b.comment]
        if sql == cluster_move.USED:
            return [[str(len(self.bases) + len(self.roles) - 1)]]
        if sql == postgres.COUNT_CONNECTIONS:
            return [[str(number) for number in self.connections]]
        if sql == postgres.FIND_RULE:
            return [["/etc/postgresql/15/main/pg_hba.conf", str(self.rule[0]), self.rule[1]]]
        if sql == postgres_store.WRITES:
            return [["on" if self.read_only else "off", "t" if self.standby else "f"]]
        assert sql == postgres_store.SIZE, f"the fake Postgres knows no {sql}"
        return [["8388608"]] if base else []

    def _change(self, sql: str, values: dict[str, str], database: str) -> list[list[str]]:
        name = values.get("name", database)
        if sql == postgres_upkeep.MEASURE:
            return [[kind, "public", each, *map(str, row), "0"] for each, (kind, *row) in self.parts.items()]
        if sql in postgres_upkeep.STATEMENTS.values():
            return self._tend(sql, name)
        if sql == quoted(alert_room.FORGET):
            self.lasting = {token: user for token, user in self.lasting.items() if user != name}
        elif sql == quoted(alert_room.ADD):
            assert int(values["id"]) < 0
            self.lasting[values["token"]] = name
        elif sql == postgres.MAKE_ROLE:
            assert name not in self.roles
            self.roles[name] = values["comment"]
        elif sql == monitor.MAKE:
            assert name not in self.roles
            self.roles[name] = values["comment"]
            self.monitors.add(name)
        elif sql == monitor.GRANT:
            self.monitors.add(name)
        elif sql == monitor.DROP:
            del self.roles[name]
            self.monitors.discard(name)
        elif sql == quoted(matrix.SET_HASH):
            assert name in self.accounts
            self.hashes.setdefault(name, values["hash"])
        elif sql == quoted(admin_api.CLEAR):
            self.access = {t: row for t, row in self.access.items() if row[1] >= int(values["moment"])}
        elif sql == quoted(admin_api.ADD_TOKEN):
            assert int(values["id"]) < 0
            self.access[values["token"]] = (name, int(values["until"]))
        elif sql == quoted(admin_api.ADD_USER):
            self.passing.add(name)
        elif sql == quoted(admin_api.REMOVE_USERS):
            good = {user for user, until in self.access.values() if until >= int(values["moment"])}
            self.passing &= good - {name}
        elif sql == postgres.MAKE_DATABASE:
            assert values["owner"] in self.roles
            assert name not in self.bases
            self.bases[name] = Base(values["owner"], values["encoding"], values["locale"], values["locale"])
        elif sql == postgres_copy.DROP:
            del self.bases[name]
        elif sql == postgres_store.DROP_ROLE:
            self.roles.pop(name, None)
        elif sql == port.AGAIN:
            assert "events" in values["names"].split(",")
        elif sql == postgres_copy.TAKE:
            assert values["kept"] not in self.bases
            self.bases[values["kept"]] = self.bases.pop(values["first"])
            self.bases[values["first"]] = self.bases.pop(values["second"])
            self.bases[values["first"]].comment = values["comment"]
        elif sql == postgres_store.CLEAR:
            base = self.bases[database]
            base.tables = base.tables if base.version or base.comment != values["comment"] else 0
        else:
            assert sql == postgres.MARK_DATABASE, f"the fake Postgres knows no {sql}"
            self.bases[name].comment = values["comment"]
        return []

    def _tend(self, sql: str, name: str) -> list[list[str]]:
        verb = next(verb for verb, text in postgres_upkeep.STATEMENTS.items() if text == sql)
        self.tended.append((verb, name))
        if verb == "remove":
            self.half.remove(name)
            return []
        kind, table, size, empty, _, rows = self.parts[name]
        if verb == "vacuum":
            self.parts[name] = (kind, table, size, empty, 0, rows)
        elif verb == "reindex":
            self.parts[name] = (kind, table, size - empty, 0, 0, rows)
        else:
            for each, (kind, of, size, empty, _, rows) in self.parts.items():
                if of == table:
                    self.parts[each] = (kind, of, size - empty, 0, 0, rows)
        return []
