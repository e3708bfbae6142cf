"""Dumps of Postgres that somebody else made, as SQL that the server's own role may run, and nothing else of them.

Plain (pg_dump, pg_dumpall; packed by gzip too) and custom ones become the same lines. Only statements that make a
database like Synapse's pass: not roles, owners, rights, other databases, nor psql's own commands, some of which
start programs, and some of which an older psql doesn't know (\\restrict). Each is read twice: to see what is in it,
and to load it.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.postgres import program
from matrix_baremetal.resources.postgres_copy import WITHOUT
from matrix_baremetal.shell import PIECE, Failed

MAKES = re.compile(
    rb"CREATE (?:UNLOGGED )?TABLE |CREATE (?:(?:UNIQUE )?INDEX|SEQUENCE|FUNCTION|TRIGGER|VIEW|TYPE|STATISTICS) "
    rb"|ALTER (?:TABLE|SEQUENCE|INDEX)\s(?!.* (?:OWNER TO|DROP) )|SELECT pg_catalog\.(?:set_config|setval)\("
    rb"|SET (?:client_encoding|standard_conforming_strings|check_function_bodies|xmloption|client_min_messages"
    rb"|row_security|statement_timeout|lock_timeout|default_tablespace|default_table_access_method) ?="
)
COPY = re.compile(rb"COPY (?:public\.)?\"?(\w+)\"? \(([^)]*)\) FROM stdin;$")
CONNECT = re.compile(rb"\\connect (?:.*dbname='([^']+)'|\"?([^\s\"]+)\"?)")
ENDING = b"-- PostgreSQL database dump complete"
MAGIC = {b"PGDMP": "custom", b"\x1f\x8b": "gzip"}


@dataclass
class Seen:
    """What a dump has: the highest `schema` and `compat` versions, its tables, its accounts by server, its bytes."""

    schema: int = 0
    compat: int = 0
    tables: int = 0
    users: dict[str, int] = field(default_factory=dict)
    inserts: bool = False
    whole: bool = False
    size: int = 0

    @property
    def counted(self) -> dict[str, str]:
        """As a store counts itself."""
        return {"schema": str(self.schema), "tables": str(self.tables)}


def statements(lines: Iterable[bytes], database: str, seen: Seen) -> Iterator[bytes]:
    """The lines that are loaded. `database` is the one that is wanted where there are several, as of pg_dumpall."""
    here, source = True, iter(lines)
    for line in source:
        seen.size += len(line)
        if line.startswith(b"\\"):
            if found := CONNECT.match(line):
                here = (found[1] or found[2]).decode("utf-8", "replace") == database
        elif line.startswith(b"--"):
            seen.whole |= here and line.startswith(ENDING)
        elif copy := COPY.match(line.rstrip()):
            yield from rows(source, line, copy, seen, here=here)
        elif line.strip():
            seen.inserts |= here and line.startswith(b"INSERT INTO ")
            passes = here and bool(MAKES.match(line))
            seen.tables += passes and bool(re.match(rb"CREATE (UNLOGGED )?TABLE ", line))
            for each in statement(source, line, seen):
                if passes:
                    yield each


def statement(source: Iterator[bytes], line: bytes, seen: Seen) -> Iterator[bytes]:
    """All lines of one statement, up to a semicolon at the end of a line that is not within a function's text."""
    quote = b""
    while True:
        yield line
        for tag in re.findall(rb"\$\w*\$", line):
            quote = tag if not quote else b"" if tag == quote else quote
        if not quote and line.rstrip().endswith(b";"):
            return
        try:
            line = next(source)
        except StopIteration:
            return
        seen.size += len(line)


def rows(source: Iterator[bytes], line: bytes, copy: re.Match[bytes], seen: Seen, *, here: bool) -> Iterator[bytes]:
    """The rows of a table, with its head and its end; one-time keys stay behind (see `WITHOUT`)."""
    table, columns = copy[1].decode(), [column.strip(b' "') for column in copy[2].split(b",")]
    wanted = {"schema_version": b"version", "schema_compat_version": b"compat_version", "users": b"name"}.get(table)
    place = columns.index(wanted) if here and wanted in columns else None
    left = table == WITHOUT
    if here:
        yield line
    for row in source:
        seen.size += len(row)
        end = row.startswith(b"\\.") and row.rstrip() == b"\\."
        if here and (end or not left):
            yield row
        if end:
            return
        # A row that was cut off has fewer cells; that it is the end of nothing whole is known by `ENDING`.
        if place is not None and len(cells := row.rstrip(b"\n").split(b"\t")) > place:
            note(table, cells[place].decode("utf-8", "replace"), seen)


def note(table: str, value: str, seen: Seen) -> None:
    """What a row says of the whole."""
    if table == "users":
        server = value.partition(":")[2]
        seen.users[server] = seen.users.get(server, 0) + 1
    elif value.isdigit():
        name = "schema" if table == "schema_version" else "compat"
        setattr(seen, name, max(getattr(seen, name), int(value)))


@contextlib.contextmanager
def plain(host: Host, path: str, user: str) -> Iterator[BinaryIO]:
    """A dump as text, whatever its form. The programs that read it can do no more than `user`."""
    try:
        # Not buffered: a program that gets it begins where the kernel thinks that we are.
        source = host.path(path).open("rb", 0)
    except OSError as error:
        raise Error(f"can't read {path}: {error.strerror}", hint=f"ls -l {path}") from None
    with source:
        head = source.read(5)
        source.seek(0)
        kind = next((kind for magic, kind in MAGIC.items() if head.startswith(magic)), "plain")
        if kind == "plain":
            yield io.BufferedReader(source, PIECE)
            return
        words = (
            ("gzip", "-dc") if kind == "gzip" else (program(host, "pg_restore"), "--no-owner", "--no-acl", "--file=-")
        )
        try:
            with host.run.reading(*as_user(user), *words, source=source) as out:
                yield out
        except Failed as error:
            raise unread(path, error) from None


def unread(path: str, error: Failed) -> Error:
    """Why a dump can't be read: the program's own last words, and how to make one that can."""
    hint = "make a plain one where Postgres runs: pg_dump -U USER DATABASE > synapse.sql"
    return Error(f"{path} can't be read: {error.result.last_words or error.message}", hint=hint)


def look(host: Host, path: str, database: str, user: str) -> Iterator[Seen]:
    """Read a dump from its first byte to its last, telling how far it is; the last one told is the whole."""
    seen = Seen()
    told = 0
    with plain(host, path, user) as source:
        for _ in statements(source, database, seen):
            if seen.size - told > PIECE:
                told = seen.size
                yield seen
    yield seen
