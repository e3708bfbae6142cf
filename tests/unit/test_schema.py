"""Tables that Synapse left half-made go; any that were used once stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.postgres import OURS
from matrix_baremetal.resources.postgres_store import PostgresStore
from matrix_baremetal.resources.schema import Schema
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Machine

NAME = "matrix-synapse"
STORE = PostgresStore(NAME, Cluster("15", "main", 5432))
SCHEMA = Schema(NAME, store=STORE, unit="matrix-synapse.service")


@pytest.mark.parametrize(
    ("base", "whole"),
    [
        (None, True),
        (Base(NAME, comment=OURS), True),
        (Base(NAME, comment=OURS, tables=170, version=True), True),
        (Base(NAME, comment=OURS, tables=7), False),
    ],
)
def test_half_is_what_has_tables_and_no_version(base: Base | None, whole: bool, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    if base:
        machine.postgres.bases[NAME] = base
    assert SCHEMA.find(FakeHost(machine)) == replace(SCHEMA, whole=whole)


@pytest.mark.parametrize(
    "base", [Base(NAME, comment=OURS, tables=170, version=True), Base(NAME, comment="theirs", tables=7)]
)
def test_what_was_used_or_is_not_ours_stays(base: Base, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.unit(SCHEMA.unit)
    machine.postgres.bases[NAME] = replace(base)
    SCHEMA.make(FakeHost(machine), None)
    assert machine.postgres.bases[NAME] == base
