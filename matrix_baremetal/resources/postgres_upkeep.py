"""Tables and indexes of a Postgres database: what of them is empty, and VACUUM and REINDEX by their owner.

Measured by Debian's own pgstattuple, in a transaction that is rolled back: the extension is gone with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.postgres import program, query
from matrix_baremetal.resources.upkeep import LEAST, LONG, MORTAL, SHARE, Part, Upkeep, Work
from matrix_baremetal.shell import Failed

# Rows, and which part of all: what is less, Postgres's own autovacuum sees to.
FEW, FRACTION = 1000, 0.05
# Seconds to wait for whoever else is at work on a table, such as somebody's dump.
PATIENCE = 120


@dataclass(frozen=True)
class PostgresUpkeep(Upkeep):
    """Of the database of this name and owner, in the cluster on this port."""

    database: str
    port: int

    @property
    def place(self) -> str:
        return "/var/lib/postgresql"

    def measure(self, host: Host) -> list[Part]:
        rows = query(
            *(host, self.port, MEASURE, self.database, True, None, LONG), owner=self.database, least=str(LEAST)
        )
        return [part(*row) for row in rows]

    def leftovers(self, host: Host) -> list[Work]:
        rows = query(host, self.port, LEFTOVERS, self.database, True, owner=self.database)
        return [
            Work("remove", Part("index", name, table, int(size), schema=schema)) for schema, name, table, size in rows
        ]

    def vacuums(self, parts: Sequence[Part]) -> list[Work]:
        return [Work("vacuum", each) for each in parts if each.kind == "table" and stirred(each)]

    def reindexes(self, parts: Sequence[Part]) -> list[Work]:
        # Beside the old one, and once more for what is sorted on the way.
        return [
            Work("reindex", each, int(each.size * 1.2)) for each in parts if each.kind == "index" and each.worthwhile
        ]

    def rewrites(self, parts: Sequence[Part]) -> list[Work]:
        found = []
        # A table's indexes are made anew along with it.
        for _, those in groupby(sorted(parts, key=of_table), key=of_table):
            group = list(those)
            size, empty = sum(each.size for each in group), sum(each.empty for each in group)
            table = next((each for each in group if each.kind == "table"), None)
            if table and table.worthwhile and empty >= size * SHARE:
                whole = Part("table", table.name, table.table, size, empty, table.dead, schema=table.schema)
                found.append(Work("rewrite", whole, int(size * 1.2)))
        return sorted(found, key=lambda work: -work.part.empty)

    def carry_out(self, host: Host, work: Work) -> None:
        # By the owner, who can do no more than the server itself. A server that goes on for a client that is gone
        # would hold its locks until the end.
        options = f"-c client_connection_check_interval=1000 -c lock_timeout={PATIENCE}s"
        values = ("-v", f"schema={work.part.schema}", "-v", f"name={work.part.name}", "-v", "ON_ERROR_STOP=1")
        words = ("-XAtqw", *values, "-U", self.database, "-d", self.database, "-p", str(self.port))
        psql = (*as_user(self.database), MORTAL, program(host, "psql"), *words)
        try:
            host.run(*psql, input=STATEMENTS[work.verb], env={"PGOPTIONS": options}, timeout=LONG)
        except Failed as error:
            raise Error(
                f"Postgres did not {work.title}: {error.result.last_words}",
                hint="once that is mended: matrix-baremetal database maintain",
            ) from None


def part(kind: str, schema: str, name: str, table: str, *numbers: str) -> Part:
    """One row of what was measured."""
    size, empty, dead, rows, changed = map(int, numbers)
    return Part(kind, name, table, size, empty, dead, rows, changed, schema)


def of_table(part: Part) -> tuple[str, str]:
    """Which table it belongs to."""
    return part.schema, part.table


def stirred(part: Part) -> bool:
    """Whether enough rows of a table are dead, or not yet counted for the planner."""
    all_of_them = part.rows + part.dead
    return any(count >= max(FEW, all_of_them * FRACTION) for count in (part.dead, part.changed))


STATEMENTS = {
    "remove": """DROP INDEX CONCURRENTLY IF EXISTS :"schema".:"name";""",
    "vacuum": """VACUUM (ANALYZE) :"schema".:"name";""",
    "reindex": """REINDEX INDEX CONCURRENTLY :"schema".:"name";""",
    "rewrite": """VACUUM (FULL, ANALYZE) :"schema".:"name";""",
}
# What REINDEX CONCURRENTLY makes beside an index, and what it leaves of the old one, where it is killed.
LEFTOVERS = """SELECT nspname, i.relname, t.relname, pg_relation_size(i.oid)
FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE NOT indisvalid AND t.relkind IN ('r', 'm') AND i.relname ~ '_cc(new|old)[0-9]*$'
AND pg_get_userbyid(t.relowner) = :'owner' ORDER BY 2;"""
# A schema of our own for the extension, so that no function of the database's owner is called in its place. Freed
# room of tables (their TOAST included) is what a vacuum noted; of an index, what its leaves would need at nine tenths
# full, as Postgres makes them.
MEASURE = """BEGIN;
SET LOCAL search_path = pg_catalog;
SELECT coalesce((SELECT nspname FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname = 'pgstattuple'), 'matrix_baremetal_measure') AS place,
NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pgstattuple') AS absent \\gset
\\if :absent
CREATE SCHEMA :"place";
CREATE EXTENSION pgstattuple SCHEMA :"place";
\\endif
WITH part AS (SELECT c.oid, nspname, relname, part.oid AS of, pg_relation_size(part.oid) AS size
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace, LATERAL (VALUES (c.oid), (reltoastrelid)) AS part(oid)
WHERE relkind IN ('r', 'm') AND relpersistence = 'p' AND pg_get_userbyid(relowner) = :'owner' AND part.oid <> 0),
seen AS (SELECT part.*, CASE WHEN size >= :'least'::bigint THEN
(SELECT ARRAY[approx_free_space + dead_tuple_len, dead_tuple_count] FROM :"place".pgstattuple_approx(of::regclass))
END AS found FROM part)
SELECT 'table', nspname, seen.relname, seen.relname, sum(size), coalesce(sum(found[1]), 0)::bigint,
greatest(coalesce(sum(found[2]), 0)::bigint, max(n_dead_tup), 0), coalesce(max(n_live_tup), 0),
coalesce(max(n_mod_since_analyze), 0)
FROM seen LEFT JOIN pg_stat_all_tables ON relid = seen.oid GROUP BY seen.oid, nspname, seen.relname
UNION ALL
SELECT 'index', nspname, i.relname, t.relname, pg_relation_size(i.oid), CASE WHEN amname = 'btree'
AND pg_relation_size(i.oid) >= :'least'::bigint THEN (SELECT greatest(0, index_size - leaf_pages
* current_setting('block_size')::int * coalesce(nullif(avg_leaf_density, 'NaN'), 0) / 90)::bigint
FROM :"place".pgstatindex(i.oid::regclass)) ELSE 0 END, 0, 0, 0
FROM pg_index JOIN pg_class i ON i.oid = indexrelid JOIN pg_class t ON t.oid = indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am a ON a.oid = i.relam
WHERE indisvalid AND t.relkind IN ('r', 'm') AND t.relpersistence = 'p' AND pg_get_userbyid(t.relowner) = :'owner'
ORDER BY 6 DESC, 5 DESC, 3;
ROLLBACK;"""
