"""Nodes made into frozen dataclasses, with the annotations as the one description of what is allowed.

What an annotation may say: str, int, bool, Literal, Any, a dataclass, tuple[X, ...], Mapping[str, X], X | None, a
union of these that differ in kind, and Annotated[X, check, …], where a check takes the value and returns it as it
should be, or raises `ValueError` with a sentence (or `Mistakes` with several). A dataclass may raise the same from
__post_init__.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

from matrix_baremetal.names import shown
from matrix_baremetal.nodes import FrozenDict, Items, Node, Place, Problems, Scalar, Table, plain_value, truth

Path: TypeAlias = tuple[str | int, ...]
BAD: Final = object()  # stands for a value that has been complained about
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")


class Mistake(NamedTuple):
    """A mistake that a check found at `path`, counted from the value that it was given."""

    path: Path
    message: str
    hint: str | None = None


class Mistakes(ValueError):
    """Several mistakes at once, each with a place of its own."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(mistake.message for mistake in self.mistakes))


class Reader:
    """Reads nodes by annotations and notes every mistake.

    `later` names what a contract has and this release has not: dotted keys ("turn", "tls.key"), values
    ("tls.mode=files") and mappings where only a word is taken ("synapse.workers={}").
    """

    def __init__(self, problems: Problems, later: Collection[str] = ()) -> None:
        self.problems = problems
        self.later = later

    def read(self, node: Node, kind: Any, path: Path = ()) -> Any:
        """Give the value of `kind` that `node` stands for, or BAD."""
        origin = get_origin(kind)
        if origin is Annotated:
            return self._checked(node, kind, path)
        if origin in (Union, UnionType):
            return self._either(node, get_args(kind), path)
        if origin is Literal:
            return self._word(node, get_args(kind), path)
        if origin is tuple:
            return self._list(node, get_args(kind)[0], path)
        if origin is Mapping:
            return self._mapping(node, get_args(kind)[1], path)
        if kind is Any:
            return self._free(node, path)
        if is_dataclass(kind):
            return self._dataclass(node, kind, path)
        return self._scalar(node, kind, path)

    def _say(self, place: Place, path: Path, message: str, hint: str | None = None) -> Any:
        self.problems.add(place, f"{dotted(path)}: {message}" if path else message, hint)
        return BAD

    def _expected(self, node: Node, path: Path, what: str, hint: str | None = None) -> Any:
        if isinstance(node, Scalar) and node.missing:
            return self._say(node.place, path, f"there is no value, expected {what}", hint or "or remove the line")
        return self._say(node.place, path, f"expected {what}, found {_found(node)}", hint)

    def _checked(self, node: Node, kind: Any, path: Path) -> Any:
        value = self.read(node, get_args(kind)[0], path)
        try:
            for check in kind.__metadata__ if value is not BAD else ():
                value = check(value)
        except ValueError as error:
            return self._complain(node, path, error)
        return value

    def _complain(self, node: Node, path: Path, error: ValueError) -> Any:
        mistakes = error.mistakes if isinstance(error, Mistakes) else (Mistake((), str(error)),)
        for mistake in mistakes:
            self._say(_place(node, mistake.path), path + mistake.path, mistake.message, mistake.hint)
        return BAD

    def _either(self, node: Node, kinds: tuple[Any, ...], path: Path) -> Any:
        if isinstance(node, Scalar) and node.missing and NoneType in kinds:
            return None
        fitting = [kind for kind in kinds if kind is not NoneType and _fits(node, kind)]
        words = [kind for kind in fitting if get_origin(kind) is Literal and _text(node) in get_args(kind)]
        others = [kind for kind in fitting if get_origin(kind) is not Literal]
        choice = (words or others or fitting or [None])[0]
        if choice is None:
            return self._expected(node, path, " or ".join(_called(kind) for kind in kinds if kind is not NoneType))
        return self.read(node, choice, path)

    def _word(self, node: Node, words: tuple[str, ...], path: Path) -> Any:
        name, text = ".".join(_keys(path)), _text(node)
        if text in words:
            return text
        kept = " or ".join(words)
        if text is not None and f"{name}={text}" in self.later:
            return self._say(node.place, path, f"{text} is not part of this release yet", f"use {kept}")
        if isinstance(node, Table) and f"{name}={{}}" in self.later:
            return self._say(node.place, path, "a mapping is not part of this release yet", f"use {kept}")
        return self._expected(node, path, kept, meant(text or "", words))

    def _scalar(self, node: Node, kind: Any, path: Path) -> Any:
        if not isinstance(node, Scalar) or node.missing:
            return self._expected(node, path, _called(kind))
        if kind is str:
            return node.text
        if kind is int:
            number = not node.quoted and _INT.fullmatch(node.text)
            hint = "remove the quotes" if node.quoted and _INT.fullmatch(node.text) else None
            return int(node.text) if number else self._expected(node, path, _called(kind), hint)
        try:
            return truth(node)
        except ValueError as error:
            return self._expected(node, path, _called(kind), str(error) or None)

    def _list(self, node: Node, kind: Any, path: Path) -> Any:
        if isinstance(node, Scalar) and node.missing:
            return ()
        if not isinstance(node, Items):
            short = isinstance(node, Scalar) and len(node.text) < 60 and node.text.isprintable()
            return self._expected(node, path, "a list", f"write [{_text(node)}]" if short else None)
        values = tuple(self.read(item, kind, (*path, index)) for index, item in enumerate(node.items))
        return BAD if any(value is BAD for value in values) else values

    def _mapping(self, node: Node, kind: Any, path: Path) -> Any:
        if isinstance(node, Scalar) and node.missing:
            return FrozenDict()
        if not isinstance(node, Table):
            return self._expected(node, path, "a mapping")
        values = {}
        for key, inner in node.rows:
            if _is_text(key):
                values[key.text] = self.read(inner, kind, (*path, key.text))
            else:
                message = f"the key {shown(key.text)} is not a text in every version of YAML"
                values[key.text] = self._say(key.place, path, message, "put it in quotes")
        return BAD if any(value is BAD for value in values.values()) else FrozenDict(values)

    def _free(self, node: Node, path: Path) -> Any:
        if isinstance(node, Table):
            return self._mapping(node, Any, path)
        if isinstance(node, Items):
            return self._list(node, Any, path)
        try:
            return plain_value(node)
        except ValueError as error:
            return self._say(node.place, path, f"{shown(node.text)} can't be used as it is", str(error))

    def _dataclass(self, node: Node, kind: Any, path: Path) -> Any:
        if isinstance(node, Scalar) and node.missing:
            node = Table(node.place, ())  # `acme:` with all its lines commented out asks for the defaults
        if not isinstance(node, Table):
            one = len(needed(kind)) == 1 and isinstance(node, Scalar) and _simple(node.text)
            hint = f"write {needed(kind)[0]}: {_text(node)}" if one else None
            return self._expected(node, path, f"a mapping ({', '.join(known(kind))})", hint)
        values = {key.text: self._field(key, inner, kind, path) for key, inner in node.rows}
        for name in needed(kind):
            if name not in values:
                values[name] = self._say(node.place, path, f"the key {name} is missing", f"write {name}: VALUE")
        if any(value is BAD for value in values.values()):
            return BAD
        try:
            return kind(**{field.name: values[name] for name, field in _fields(kind).items() if name in values})
        except ValueError as error:
            return self._complain(node, path, error)

    def _field(self, key: Scalar, node: Node, kind: Any, path: Path) -> Any:
        if self.problems.full:
            return BAD
        if key.text in known(kind):
            return self.read(node, _hints(kind)[key.text], (*path, key.text))
        full = ".".join((*_keys(path), key.text))
        if full in self.later:
            # A null asks for nothing: the contract shows such keys with it.
            empty = isinstance(node, Scalar) and node.missing
            return None if empty else self._say(key.place, (), f"{full} is not part of this release yet", "remove it")
        below = [name for name, inner in _hints(kind).items() if is_dataclass(inner) and key.text in known(inner)]
        hint = f"did you mean {below[0]}.{key.text}?" if below else meant(key.text, known(kind))
        return self._say(
            key.place, path, f"unknown key {shown(key.text)}", hint or f"known are {', '.join(known(kind))}"
        )


def dotted(path: Path) -> str:
    """Write a path as people do: admins[0].name; keys that aren't plain words are quoted and cut."""
    steps = [f"[{step}]" if isinstance(step, int) else f".{step if _simple(step) else shown(step)}" for step in path]
    return "".join(steps).removeprefix(".")


def meant(word: str, words: Iterable[str]) -> str | None:
    """Ask "did you mean …?" with the nearest of the words, if one is near."""
    import difflib  # costs milliseconds, and most files have no mistake

    near = difflib.get_close_matches(word.lower(), list(words), 1) if 0 < len(word) <= 64 else []
    return f"did you mean {near[0]}?" if near else None


def known(kind: Any) -> tuple[str, ...]:
    """Name the keys that a dataclass takes."""
    return tuple(_fields(kind))


def needed(kind: Any) -> tuple[str, ...]:
    """Name the keys that a dataclass can't do without."""
    found = _fields(kind).items()
    return tuple(name for name, field in found if field.default is MISSING and field.default_factory is MISSING)


@lru_cache
def _fields(kind: Any) -> dict[str, Field[Any]]:
    return {key_of(field.name): field for field in fields(kind) if field.init}


def key_of(name: str) -> str:
    """The key for a field: one that is a word of Python's own has an underscore behind it there."""
    return name.removesuffix("_")


@lru_cache
def _hints(kind: Any) -> dict[str, Any]:
    return {key_of(name): hint for name, hint in get_type_hints(kind, include_extras=True).items()}


def _is_text(scalar: Scalar) -> bool:
    try:
        return isinstance(plain_value(scalar), str)
    except ValueError:
        return False


def _keys(path: Path) -> list[str]:
    return [step for step in path if isinstance(step, str)]


def _simple(word: str) -> bool:
    return len(word) <= 64 and re.fullmatch(r"[A-Za-z0-9_-]+", word) is not None


def _text(node: Node) -> str | None:
    return node.text if isinstance(node, Scalar) else None


def _fits(node: Node, kind: Any) -> bool:
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if isinstance(node, Table):
        return is_dataclass(bare) or get_origin(bare) is Mapping or bare is Any
    if isinstance(node, Items):
        return get_origin(bare) is tuple or bare is Any
    return get_origin(bare) is Literal or bare in (str, int, bool, Any)


def _called(kind: Any) -> str:
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    if get_origin(bare) is Literal:
        return " or ".join(get_args(bare))
    names = {str: "a text", int: "a whole number", bool: "true or false", tuple: "a list"}
    return names.get(get_origin(bare) or bare, "a mapping")


def _found(node: Node) -> str:
    if isinstance(node, Scalar):
        kinds = {"int": "the number", "float": "the number", "bool": "the truth value"}
        return f"{'the text' if node.quoted else kinds.get(node.kind, 'the text')} {shown(node.text)}"
    return "a list" if isinstance(node, Items) else "a mapping"


def _place(node: Node, path: Path) -> Place:
    """Find the key or item that a path names; a path that leads nowhere ends where it leaves the file."""
    place = node.place
    for step in path:
        if isinstance(node, Table):
            rows = {key.text: (key, inner) for key, inner in node.rows}
            if step not in rows:
                return place
            key, node = rows[str(step)]
            place = key.place
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            place = node.place
    return place
