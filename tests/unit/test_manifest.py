"""The manifest: what we made, what of it is ours, and what becomes of a broken one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.manifest import FORMAT, PATH, Manifest
from matrix_baremetal.resources.files import Directory, File
from tests.fakes import FakeHost, Machine

A, B = File("/a", "a"), File("/b", "b")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(Machine(tmp_path))


def test_there_is_an_empty_one_at_first(host: FakeHost) -> None:
    manifest = Manifest.read(host)
    assert (manifest.server_name, manifest.entries) == (None, {})


def test_what_is_written_is_read_again_and_only_root_may_read_it(host: FakeHost) -> None:
    manifest = Manifest("example.org")
    manifest.settle(B)
    manifest.settle(A)
    manifest.write(host)
    again = Manifest.read(host)
    assert again.server_name == "example.org"
    assert list(again.entries.items()) == list(manifest.entries.items())
    node = host.node(PATH)
    assert node
    assert (node.mode, node.owner) == (0o600, "root")


def test_it_is_written_once_where_nothing_is_new(host: FakeHost) -> None:
    manifest = Manifest("example.org")
    manifest.announce([A])
    manifest.write(host)
    operations = host.operations
    manifest.settle(A)
    manifest.write(host)
    assert host.operations == operations
    manifest.settle(B)
    manifest.write(host)
    assert host.operations > operations


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "\x00",
        '{"resources": [{}]}',
        '{"resources": 5}',
        '{"resources": [[1]]}',
        '{"format": "x"}',
    ],
)
def test_a_broken_one_is_an_empty_one(host: FakeHost, text: str) -> None:
    host.machine.put(PATH, text)
    assert Manifest.read(host).entries == {}


@pytest.mark.parametrize("number", [0, -1])
def test_one_of_no_release_is_refused_with_the_way_on(host: FakeHost, number: int) -> None:
    host.machine.put(PATH, json.dumps({"format": number, "resources": []}))
    with pytest.raises(Error, match="that no release of matrix-baremetal has written") as caught:
        Manifest.read(host)
    assert "matrix-baremetal plan" in str(caught.value.hint)


def test_one_of_a_newer_release_is_refused(host: FakeHost) -> None:
    host.machine.put(PATH, json.dumps({"format": FORMAT + 1}))
    with pytest.raises(Error, match="newer") as caught:
        Manifest.read(host)
    assert caught.value.hint


def test_what_is_announced_is_ours_in_its_old_and_in_its_new_state() -> None:
    manifest = Manifest()
    manifest.settle(A)
    new = replace(A, content="new")
    manifest.announce([new])
    assert manifest.ours(A)
    assert manifest.ours(new)
    assert not manifest.ours(replace(A, content="by hand"))
    assert manifest.settle(new)
    assert not manifest.ours(A)


def test_settling_tells_whether_that_is_news() -> None:
    manifest = Manifest()
    assert manifest.settle(A)
    assert not manifest.settle(A)
    assert manifest.settle(replace(A, mode=0o600))


def test_orphans_come_the_latest_first_and_by_name_alone() -> None:
    manifest = Manifest()
    for resource in (A, Directory("/d"), B):
        manifest.settle(resource)
    assert list(manifest.orphans([Directory("/d")])) == [File("/b"), File("/a")]


def test_an_announcement_puts_things_in_the_order_of_the_declaration_behind_what_is_orphaned() -> None:
    manifest = Manifest()
    for resource in (B, Directory("/d"), A):
        manifest.settle(resource)
    manifest.announce([A, B])
    assert [name for _, name in manifest.entries] == ["/d", "/a", "/b"]


def test_a_kind_that_this_release_does_not_know_is_left_alone(host: FakeHost) -> None:
    rows = [{"kind": "Balloon", "name": "red", "states": []}]
    host.machine.put(PATH, json.dumps({"format": 1, "resources": rows}))
    manifest = Manifest.read(host)
    assert list(manifest.orphans([])) == []
    assert ("Balloon", "red") in manifest.entries
