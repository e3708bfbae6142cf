"""What a file of ours says before it has types: scalars, lists and tables, each with its place.

Here lives also what a scalar means where no annotation says it (`plain_value`). Pure: YAML's syntax is `yamlfile`'s,
annotations are `shape`'s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from matrix_baremetal.errors import Problem

MOST_PROBLEMS = 50  # nobody mends more in one go, and a file of another kind has a hundred thousand

# YAML 1.2's core schema, §10.3.2. What YAML 1.1 makes of a scalar comes from pyyaml, in `Scalar.kind`.
_CORE = (
    ("null", re.compile(r"~|null|Null|NULL|")),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE")),
    ("int", re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")),
    (
        "float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
    ),
)
_YES = {"yes", "on", "y", "true"}
_NO = {"no", "off", "n", "false"}


@dataclass(frozen=True)
class Place:
    """Where something begins; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Scalar:
    """One value as it was written; `kind` is what YAML 1.1 takes it for ("str", "int", "timestamp", …)."""

    place: Place
    text: str
    kind: str
    quoted: bool = False

    @property
    def missing(self) -> bool:
        """Tell whether nothing, `null` or `~` was written."""
        return self.kind == "null"


@dataclass(frozen=True)
class Items:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Table:
    """A mapping; its keys are distinct."""

    place: Place
    rows: tuple[tuple[Scalar, Node], ...]


Node: TypeAlias = Scalar | Items | Table


class Problems:
    """The mistakes of one file so far, as many as a person would read."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    @property
    def full(self) -> bool:
        """Tell whether it is pointless to look for more."""
        return len(self.found) >= MOST_PROBLEMS

    def add(self, place: Place, message: str, hint: str | None = None) -> None:
        """Note one mistake; the same one is noted once, and none after the fiftieth."""
        problem = Problem(place.line, place.column, message, hint)
        if not self.full and problem not in self.found:
            self.found.append(problem)


class FrozenDict(Mapping[str, Any]):
    """A dict that can't change, all the way down, so that a config can be hashed and compared; keeps its order."""

    __slots__ = ("_rows",)

    def __init__(self, rows: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        self._rows = {key: _frozen(value) for key, value in dict(rows).items()}

    def __getitem__(self, key: str) -> Any:
        return self._rows[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __hash__(self) -> int:
        return hash(frozenset(self._rows.items()))

    def __repr__(self) -> str:
        return repr(self._rows)


def thawed(value: Any) -> Any:
    """Turn `FrozenDict` and tuple into dict and list again, for code that adds to them or dumps JSON."""
    if isinstance(value, Mapping):
        return {key: thawed(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [thawed(inner) for inner in value]
    return value


def plain_value(scalar: Scalar) -> str | int | float | bool | None:
    """Give a scalar the meaning that YAML 1.1 and 1.2 both give it; where they differ, raise `ValueError`.

    Synapse reads its files as YAML 1.1, people and editors think in 1.2: `no` is false or a text, `0600` is 384 or
    600, `12:30` is 750 or a text. Whoever wrote it meant one of the two, and we don't guess which.
    """
    if scalar.quoted:
        return scalar.text
    kind = next((name for name, pattern in _CORE if pattern.fullmatch(scalar.text)), "str")
    if scalar.kind == "bool" and kind == "str":
        word = "true" if scalar.text.lower() in _YES else "false"
        raise ValueError(f"write {word}, or put it in quotes if it is a text")
    if kind != scalar.kind or (kind == "int" and re.match(r"[-+]?0[0-9]", scalar.text)):
        raise ValueError("YAML's versions read this differently; put it in quotes, or write the number plainly")
    return _converted(kind, scalar.text)


def truth(scalar: Scalar) -> bool:
    """Read true or false, and nothing that only YAML 1.1 takes for it; `ValueError` says what to write."""
    word = scalar.text.lower()
    if scalar.kind == "bool" and word in ("true", "false"):
        return word == "true"
    if word in ("true", "false"):
        raise ValueError("remove the quotes")
    if word in _YES | _NO:
        raise ValueError(f"write {'true' if word in _YES else 'false'}")
    raise ValueError("")


def _converted(kind: str, text: str) -> str | int | float | bool | None:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int":
        # 64 bits: nothing of Synapse's is larger, and int() refuses 4301 digits with an error of its own.
        if len(text) > 20 or not -(2**63) <= (number := int(text, 16 if "x" in text else 10)) < 2**63:
            raise ValueError("the number is too large; put it in quotes if it is a text")
        return number
    if kind == "float":
        return _finite(text)
    return text


def _finite(text: str) -> float:
    if "inf" in text.lower() or "nan" in text.lower() or not math.isfinite(number := float(text)):
        raise ValueError("no setting can be infinite or not a number; put it in quotes if it is a text")
    return number


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return FrozenDict(value)
    return tuple(_frozen(inner) for inner in value) if isinstance(value, (list, tuple)) else value
