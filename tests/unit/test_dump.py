"""Dumps of other people's Postgres: only what makes a database like Synapse's passes."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from matrix_baremetal import dump
from matrix_baremetal.dump import Seen, statements
from matrix_baremetal.errors import Error
from tests.fakes import FakeHost, Machine

HEAD = """\
--
-- PostgreSQL database dump
--

\\restrict abc
SET statement_timeout = 0;
SET transaction_timeout = 0;
SELECT pg_catalog.set_config('search_path', '', false);
CREATE EXTENSION IF NOT EXISTS pg_stat_statements WITH SCHEMA public;
CREATE FUNCTION public.f() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
\\! touch /tmp/in-a-function-it-is-text
GRANT ALL;
END;
$$;
ALTER FUNCTION public.f() OWNER TO synapse;
"""
TABLES = """\
CREATE TABLE public.schema_version (
    version integer
);
ALTER TABLE public.schema_version OWNER TO synapse;
CREATE TABLE public.users (
    name text
);
COPY public.users (id, name) FROM stdin;
1	@alice:example.org
2	@b\\\\ob:example.org
\\.
COPY public.schema_version (lock, version) FROM stdin;
X	92
\\.
COPY public.schema_compat_version (lock, compat_version) FROM stdin;
X	85
\\.
COPY public.e2e_one_time_keys_json (user_id) FROM stdin;
@alice:example.org
\\.
\\! touch /tmp/never
GRANT ALL ON SCHEMA public TO synapse;
ALTER TABLE ONLY public.users
    ADD CONSTRAINT u UNIQUE (name);
"""
END = "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"
ALL = (
    "CREATE ROLE synapse;\nALTER ROLE synapse WITH SUPERUSER PASSWORD 'x';\n\\connect template1\n" + HEAD + END
    + "CREATE DATABASE other;\n\\connect other\nCREATE TABLE public.theirs (\n    a text\n);\n"
    + "COPY public.users (name) FROM stdin;\n@x:other.org\n\\.\n" + END
    + "CREATE DATABASE synapse WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE = 'en_US.utf8';\n"
    + "\\connect -reuse-previous=on \"dbname='synapse'\"\n"
)  # fmt: skip


def passed(text: str, database: str = "synapse") -> tuple[list[str], Seen]:
    seen = Seen()
    lines = statements(text.encode().splitlines(keepends=True), database, seen)
    return [line.decode() for line in lines], seen


@pytest.mark.parametrize("text", [HEAD + TABLES + END, ALL + HEAD + TABLES + END], ids=["pg_dump", "pg_dumpall"])
def test_only_what_makes_the_database_passes(text: str) -> None:
    lines, seen = passed(text)
    whole = "".join(lines)
    for gone in ("ROLE", "OWNER", "EXTENSION", "/tmp/never", "restrict", "transaction_timeout", "theirs", "other"):
        assert gone not in whole
    assert "GRANT ALL ON" not in whole
    for kept in ("in-a-function", "CREATE TABLE public.users", "@b\\\\ob:example.org", "ADD CONSTRAINT u"):
        assert kept in whole
    # A key that was handed out must not be handed out again.
    assert "COPY public.e2e_one_time_keys_json (user_id) FROM stdin;\n\\.\n" in whole
    assert (seen.schema, seen.compat, seen.tables, seen.users) == (92, 85, 2, {"example.org": 2})
    assert (seen.whole, seen.inserts, seen.size) == (True, False, len(text))


def test_one_that_was_cut_off_is_not_whole_and_inserts_are_seen() -> None:
    assert passed(HEAD + TABLES)[1].whole is False
    assert passed(HEAD + TABLES[: TABLES.index("@b")])[1].whole is False
    assert passed(ALL, "nowhere")[1].schema == 0
    assert passed("INSERT INTO public.users VALUES (1);\n" + END)[1].inserts is True


def test_what_is_packed_is_the_same(tmp_path: Path) -> None:
    text = (HEAD + TABLES + END).encode()
    host = FakeHost(Machine(tmp_path / "machine"))
    host.machine.users.append("matrix-synapse")
    for name, data in (("plain", text), ("packed", gzip.compress(text))):
        host.path(f"/{name}").write_bytes(data)
        with dump.plain(host, f"/{name}", "matrix-synapse") as source:
            found = b"".join(statements(source, "", Seen()))
        assert found.decode() == "".join(passed(text.decode())[0])
        *_, seen = dump.look(host, f"/{name}", "", "matrix-synapse")
        assert (seen.whole, seen.tables) == (True, 2)


def test_what_can_not_be_read_is_said(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path / "machine"))
    host.machine.users.append("matrix-synapse")
    host.path("/cut").write_bytes(gzip.compress(b"x" * 99)[:-9])
    for path in ("/cut", "/nowhere"):
        with pytest.raises(Error, match=f"{path}"):
            list(dump.look(host, path, "", "matrix-synapse"))


@pytest.mark.parametrize("cut", ["X", ""])
def test_one_that_ends_in_a_row_is_no_reason_for_a_stack(cut: str) -> None:
    text = HEAD + TABLES
    assert passed(text[: text.index("X\t92")] + f"{cut}\n")[1].schema == 0
