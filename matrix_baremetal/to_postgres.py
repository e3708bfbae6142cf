"""A homeserver of ours moves from SQLite to Postgres: most of it while it runs, the rest while it stands still.

What it has in SQLite stays as it is; only when Postgres has every row does the config say so.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from matrix_baremetal import config, preflight, session
from matrix_baremetal.components.component import ETC, STATE
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.synapse import UNIT
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.migrate import SCRATCH
from matrix_baremetal.resources.admin_api import AdminApi
from matrix_baremetal.resources.matrix import HomeserverConfig
from matrix_baremetal.resources.port import UNIT as PORT_UNIT
from matrix_baremetal.resources.port import Port, config_file
from matrix_baremetal.resources.postgres import MARK_DATABASE, OURS, query
from matrix_baremetal.resources.postgres_copy import PostgresCopy
from matrix_baremetal.resources.store import UPDATES
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import Transfer
from matrix_baremetal.yamlfile import dump, foreign

NOTE = f"{STATE}/to-postgres.json"
CONFIG = f"{ETC}/config.yaml"
LINE = re.compile(rb"""^(database:[ \t]*)(["']?)(sqlite|postgres)\2(?=[ \t]*(?:#.*)?\r?$)""", re.MULTILINE)
MB = 1024 * 1024


@dataclass(frozen=True)
class Move:
    """From `now`, with SQLite, to `then`, with Postgres: the same site otherwise."""

    now: Session
    then: Session

    @property
    def port(self) -> Port:
        """What carries the rows over."""
        return Port(f"{SCRATCH}/homeserver.db", USER, PostgresCopy(USER, self.then.site.cluster.port))


def begin(host: Host, wheelhouse: str | None) -> Move:
    """Read the config, whichever of the two it names as yet."""
    written = config.load(host.path(CONFIG))
    return of(host, written, wheelhouse)


def of(host: Host, written: config.Config, wheelhouse: str | None) -> Move:
    """Both sites of a config."""
    sites = (session.of(host, replace(written, database=word), wheelhouse) for word in ("sqlite", "postgres"))
    return Move(*sites)


def done(host: Host, move: Move) -> bool:
    """Whether there is nothing to move: it uses Postgres, and no run was cut off."""
    text = host.text("/etc/matrix-synapse/homeserver.yaml") or ""
    says = re.search(r"^database:\n  name: (\w+)$", text, re.MULTILINE)
    return bool(says and says[1] == move.then.site.store(USER).driver) and host.node(NOTE) is None


def switched(host: Host) -> bool:
    """Whether Postgres has all rows already, from a run that was cut off before it had come to its end."""
    try:
        return bool(json.loads(host.text(NOTE) or "{}").get("switched"))
    except (ValueError, AttributeError):
        return False


def obstacles(host: Host, move: Move) -> Iterator[Obstacle]:
    """What is in the way."""
    store = move.now.site.store(USER)
    if len(LINE.findall(host.read(CONFIG) or b"")) != 1:
        yield Obstacle(f"{CONFIG} has no line that says database: sqlite", "write it on a line of its own")
    if not store.used(host):
        hint = f"set database: postgres in {CONFIG}, then: matrix-baremetal install"
        yield Obstacle("there is nothing in SQLite here", hint)
        return
    if pending := [name for (name,) in store.rows(host, UPDATES)]:
        yield Obstacle(
            f"Synapse is still at work on its own tables ({pending[0]}, {len(pending)} in all)",
            "let it run, minutes or, on a large server, hours; then run the same command again",
            passes=True,
        )
    size, free = store.size(host), host.space(STATE).size
    # What a run that was cut off has copied is no longer free.
    if free < size * 4 and host.node(move.port.source) is None:
        yield Obstacle(
            f"{STATE} has {free // MB} MB free; a copy and the new database take up to {size * 4 // MB} MB",
            "make room: du -xh /var/lib | sort -h | tail",
        )
    yield from preflight.databases(move.then.site, move.then.needs, host)


def unfit(host: Host, move: Move) -> Iterator[Obstacle]:
    """What Postgres can't hold, in the copy: synapse_port_db would leave those rows out."""
    for what in move.port.scan(host):
        table, column = re.split(r"[. ]", what)[:2]
        cure = f'UPDATE {table} SET {column} = replace({column}, char(0), "")'
        yield Obstacle(
            f"{what}, and Postgres takes no such text",
            f"mend it in {move.now.site.store(USER).settings['args']['database']}: {cure}",
        )


def first_pass(host: Host, move: Move, transfer: Transfer) -> None:
    """Carry over what is there while people go on talking; done once, whatever is killed afterwards."""
    port = move.port
    if port.ours(host):
        return
    port.copy.begin(host)
    passed(host, move, transfer, "carry over what is there, while the server runs")
    query(host, port.copy.port, MARK_DATABASE, name=port.copy.second, comment=f"{OURS} by a first pass")


def copied(host: Host, move: Move, transfer: Transfer) -> None:
    """A copy of SQLite's file as it is now."""
    host.mkdir(SCRATCH, 0o700, owner=USER, group=USER)
    transfer.begin("copy SQLite's file")
    move.port.snapshot(host, move.now.site.store(USER).settings["args"]["database"])
    transfer.end()


def last_pass(host: Host, move: Move, transfer: Transfer) -> None:
    """Stop the server and carry over the rest; if that is not all, everything. Raises `Error`."""
    port = move.port
    host.run("systemctl", "stop", UNIT, timeout=300)
    copied(host, move, transfer)
    port.again(host)
    passed(host, move, transfer, "carry over the rest, while it stands still")
    if port.missing(host):
        # Something was taken away between the passes: a room that was purged, say.
        port.copy.begin(host)
        passed(host, move, transfer, "carry over everything again, as something was taken away meanwhile")
    if wrong := port.missing(host):
        raise Error(
            f"not every row has arrived in Postgres: {'; '.join(wrong[:5])}",
            hint="the server goes on with SQLite; please report this",
        )


def passed(host: Host, move: Move, transfer: Transfer, title: str) -> None:
    """One pass of synapse_port_db."""
    wanted = next(each for each in move.then.resources if isinstance(each, HomeserverConfig))
    settings = foreign(wanted.read_by(PORT_UNIT), wanted.path)
    settings["database"]["args"]["dbname"] = move.port.copy.second
    transfer.begin(title, rows=True)
    counts: dict[str, int] = {}
    with config_file(host, dump(settings), USER) as path:
        for table, rows in move.port.run(host, wanted.python, path, wanted.credentials):
            transfer.add(rows - counts.get(table, 0))
            counts[table] = rows
    transfer.end()


def switch(host: Host, move: Move, kept: str) -> None:
    """Postgres's second database takes the first one's place, and the config says postgres."""
    port = move.port
    if port.copy.taken(host, kept):
        # By a run that was killed just then: people may have written to SQLite since, and these rows have that.
        kept = time.strftime("again-%Y%m%dT%H%M%S")
    port.copy.take(host, kept)
    host.write(NOTE, json.dumps({"kept": kept, "switched": True}) + "\n", 0o600)
    say(host, "postgres")


def say(host: Host, word: str) -> None:
    """Change that one word of the config; its comments and all else stay."""
    node, text = host.node(CONFIG), host.read(CONFIG) or b""
    fresh = LINE.sub(lambda found: found[1] + word.encode(), text)
    if fresh != text and node:
        host.write(CONFIG, fresh, node.mode, node.owner, node.group)


def noted(host: Host, kept: str) -> str:
    """Under which name the empty first database is kept, the same after a run was cut off."""
    try:
        return str(json.loads(host.text(NOTE) or "{}")["kept"])
    except (ValueError, KeyError, TypeError):
        host.write(NOTE, json.dumps({"kept": kept}) + "\n", 0o600)
        return kept


def end(host: Host, move: Move, kept: str) -> None:
    """Have the user directory made anew, and take away what nobody would miss."""
    with AdminApi(host, move.then.site.config.server_name, move.then.site.store(USER)) as api:
        api.ask("POST", "/v1/background_updates/start_job", {"job_name": "regenerate_directory"})
    move.port.copy.forget(host, kept)
    host.remove_tree(SCRATCH)
    host.remove(NOTE)
