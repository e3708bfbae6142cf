"""Free-form values: what they mean, which are refused, and that they can't change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from matrix_baremetal import yamlfile
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.nodes import FrozenDict, thawed


@dataclass(frozen=True)
class Outer:
    name: str
    free: Mapping[str, Any] = FrozenDict()


def read(text: str) -> Outer:
    return yamlfile.decode(text, "f.yaml", Outer)


def problems(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("0", 0),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1.5e+3", 1500.0),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("text", "text"),
        ("10M", "10M"),
        ("y", "y"),
        ("1.2.3", "1.2.3"),
        ("0o600", None),
        ("'no'", "no"),
        ("'0600'", "0600"),
        ("[1, a, {b: c}]", [1, "a", {"b": "c"}]),
        ('"a\\nb\\t"', "a\nb\t"),
        ("|\n    two\n    lines\n", "two\nlines\n"),
    ],
)
def test_free_values_mean_what_synapse_reads(text: str, value: object) -> None:
    if text == "0o600":
        assert "put it in quotes" in problems(f"name: a\nfree:\n  x: {text}")
        return
    free = read(f"name: a\nfree:\n  x: {text}").free
    assert thawed(free) == {"x": value} == yaml.safe_load(f"x: {text}")
    assert yaml.safe_load(yamlfile.dump(free)) == {"x": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yes", "write true, or put it in quotes"),
        ("no", "write false, or put it in quotes"),
        ("On", "write true"),
        ("0600", "YAML's versions read this differently"),
        ("08", "YAML's versions"),
        ("0b1", "YAML's versions"),
        ("1_000", "YAML's versions"),
        ("12:30", "YAML's versions"),
        ("1e3", "YAML's versions"),
        ("2024-01-01", "YAML's versions"),
        ("2024-01-01 10:00:00", "YAML's versions"),
        (".inf", "infinite"),
        (".NaN", "infinite"),
        ("1.0e+999", "infinite"),
        ("9223372036854775808", "too large"),
        ("9" * 5000, "too large"),
        ("0x" + "f" * 40, "too large"),
        ("=", "YAML's versions"),
        ("<<", "YAML's versions"),
    ],
)
def test_free_values_that_could_mean_two_things_are_refused(text: str, said: str) -> None:
    message = problems(f"name: a\nfree: {{x: [1, {text}]}}")
    assert "f.yaml:2:15: free.x[1]: " in message
    assert said in message


@pytest.mark.parametrize("key", ["on", "1", "null", "~", "1.5", "2024-01-01", "true"])
def test_free_keys_are_texts(key: str) -> None:
    assert "f.yaml:2:8: free: the key" in problems(f"name: a\nfree: {{{key}: 1}}")
    assert read(f"name: a\nfree: {{'{key}': 1}}").free == {key: 1}


def test_what_is_read_can_be_hashed_and_not_changed() -> None:
    first, again = (read("name: a\nfree: {x: [1, {y: 2}], z: 3}") for _ in range(2))
    assert first == again
    assert hash(first) == hash(again)
    assert first != read("name: a\nfree: {x: [1, {y: 3}], z: 3}")
    assert first.free["x"] == (1, {"y": 2})
    assert list(first.free) == ["x", "z"]
    with pytest.raises(TypeError):
        first.free["x"] = 1  # type: ignore[index]
    assert {**first.free, "w": 1}["w"] == 1
