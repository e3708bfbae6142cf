"""Every case gives its tree of files byte by byte, and its resources in their order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal import components, facts
from matrix_baremetal.commands.render import write
from tests.fakes import FakeHost
from tests.golden.cases import NAMES, Case

HOW = "if that is meant: .venv/bin/python -m tests.golden.update, and read the diff"


def test_there_are_cases_for_both_releases() -> None:
    assert len(NAMES) >= 8
    assert {Case(name).special.release for name in NAMES} == {12, 13}


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_a_case_are_as_they_were(name: str, tmp_path: Path) -> None:
    case = Case(name)
    write(case.resources, tmp_path)
    made = files(tmp_path)
    kept = files(case.folder / "tree")
    assert sorted(made) == sorted(kept), HOW
    for path, content in made.items():
        assert content.decode() == kept[path].decode(), f"{name}: {path} is another; {HOW}"


@pytest.mark.parametrize("name", NAMES)
def test_each_check_of_a_case_has_an_id_of_its_own(name: str) -> None:
    case = Case(name)
    ids = Counter(check.id for check in components.checks(case.site(case.facts)))
    assert [id for id, count in ids.items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_resources_of_a_case_are_as_they_were(name: str) -> None:
    case = Case(name)
    assert case.listing == (case.folder / "resources.txt").read_text(), HOW


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_of_the_machine_of_a_case_is_what_its_tree_was_rendered_for(name: str, tmp_path: Path) -> None:
    case = Case(name)
    seen = facts.read(FakeHost(case.machine(tmp_path)))
    assert replace(case.facts, memory=seen.memory, processors=seen.processors, ipv6=seen.ipv6) == replace(
        seen, architecture="x86_64"
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
