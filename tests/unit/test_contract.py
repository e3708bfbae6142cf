"""What every kind of resource promises the loop: it looks without writing, makes, repairs, and survives a kill."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import components
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.matrix import Homeserver
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from tests.examples import EXAMPLES, SECRET, Example
from tests.fakes import FakeHost, Killed, Machine

assert components.ALL, "which has imported every kind"
KINDS = {n: k for n, k in Resource.kinds.items() if k.__module__.startswith("matrix_baremetal.")}
every = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e.resource).__name__)


def a_machine(example: Example, folder: Path) -> Machine:
    """The example's machine."""
    folder.mkdir(exist_ok=True)
    machine = Machine(folder, packages=example.packages)
    example.before(machine)
    return machine


def test_every_kind_of_the_product_has_an_example() -> None:
    assert {type(example.resource) for example in EXAMPLES} == {
        k for k in KINDS.values() if not inspect.isabstract(k)
    }


@every
def test_the_first_field_is_the_name_and_all_others_have_defaults(example: Example) -> None:
    first, *others = fields(example.resource)
    assert first.default is MISSING
    assert example.resource.name == getattr(example.resource, first.name)
    assert all(f.default is not MISSING or f.default_factory is not MISSING for f in others)
    assert type(example.resource)(example.resource.name).key == example.resource.key  # type: ignore[call-arg]


@every
def test_looking_writes_nothing_and_finds_what_is_not_there_to_be_so(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    if isinstance(example.resource, Homeserver):
        machine.unit("matrix-synapse.service").active = False
    before = machine.tree()
    assert example.resource.find(FakeHost(machine)) != example.resource
    assert machine.tree() == before
    assert machine.changing() == []


@every
def test_what_is_made_is_found_as_it_should_be(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    assert example.resource.find(host) == example.resource
    assert example.resource.digest() == found(example.resource, host).digest()
    assert example.resource.differences(found(example.resource, host)) == ()


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.drift], ids=lambda e: type(e.resource).__name__)
def test_what_has_drifted_is_seen_and_repaired(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    assert example.drift
    example.drift(machine)
    drifted = example.resource.find(host)
    if not isinstance(example.resource, Homeserver):
        assert drifted != example.resource
    example.resource.make(host, drifted)
    assert example.resource.find(host) == example.resource


@every
def test_the_digest_counts_every_compared_field_and_no_other(example: Example) -> None:
    for one in fields(example.resource):
        changed = replace(example.resource, **{one.name: another(getattr(example.resource, one.name))})
        if one.name == "tested":
            assert changed.digest() == example.resource.digest()  # whether it was tested is not what is in it
        else:
            assert (changed.digest() != example.resource.digest()) == one.compare, one.name
        assert (changed != example.resource) == one.compare, one.name


def another(value: Any) -> Any:
    """A value of the same kind that is another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, tuple):
        return (*value, "x")
    return f"{value}x" if isinstance(value, str) else lambda: "x"


@every
def test_undone_by_its_name_alone_it_is_gone_or_its_data_stays(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    before = machine.tree()
    by_name: Resource = type(example.resource)(example.resource.name)  # type: ignore[call-arg]
    by_name.undo(host)
    if example.stays:
        assert machine.tree() == before
        assert example.resource.find(host) == example.resource
    else:
        again = example.resource.find(host)
        assert again is None or (isinstance(again, Service) and not again.active and not again.enabled)
    by_name.undo(host)


@every
def test_killed_anywhere_it_is_made_by_the_next_run(example: Example, tmp_path: Path) -> None:
    whole = a_machine(example, tmp_path / "whole")
    host = FakeHost(whole)
    example.resource.make(host, example.resource.find(host))
    for at in range(1, host.operations + 1):
        machine = a_machine(example, tmp_path / str(at))
        dying = FakeHost(machine, at)
        with pytest.raises(Killed):
            example.resource.make(dying, example.resource.find(dying))
        next_run = FakeHost(machine)
        if (left := example.resource.find(next_run)) != example.resource:
            example.resource.make(next_run, left)
        assert example.resource.find(next_run) == example.resource, f"killed at {at}"
        if not isinstance(example.resource, Certificate):
            assert list(machine.tree()) == list(whole.tree()), f"killed at {at}, and something was left"


@every
def test_no_secret_is_shown_or_given_to_a_program_as_a_word(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    texts = [repr(example.resource), str(example.resource.differences(None)), example.resource.title]
    texts += [word for s in machine.started for word in (*s.argv, *s.env.values())]
    assert not any(SECRET in text for text in texts)


def found(resource: Resource, host: FakeHost) -> Resource:
    """What the host has."""
    seen = resource.find(host)
    assert seen is not None
    return seen
