"""YAML as operators write it and as we generate it; nothing else imports pyyaml.

Files are read event by event into `nodes`, not with safe_load, which takes the last of two equal keys, reads 1.10 as
1.1 and no as false, follows aliases, and knows no lines. What only makes a file harder to read or is a way to attack
(tags, anchors, aliases, a second document, control and bidirectional characters) is refused, with its place.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, TypeVar, cast

import yaml

from matrix_baremetal.errors import ConfigError, Error
from matrix_baremetal.names import shown
from matrix_baremetal.nodes import FrozenDict, Items, Node, Place, Problems, Scalar, Table, plain_value
from matrix_baremetal.shape import BAD, Reader, needed

MOST_BYTES = 1_000_000
MOST_NODES = 20_000
DEEPEST = 32

T = TypeVar("T")

_resolve: Any = yaml.SafeLoader("").resolve

# Bidirectional controls make a line look like another one ("Trojan source", CVE-2021-42574); a lone CR hides its
# beginning in a terminal. Joiners stay: emoji and Persian need them.
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff"
_DIRECTION = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_hidden = re.compile(f"[{_CONTROL}{_DIRECTION}]|\r(?!\n)")

# What libyaml and pyyaml say, and what it means to an operator.
_MEANINGS = (
    (r"tab character|character '\\t'", "a tab can't indent in YAML", "use spaces"),
    (r"unexpected end of stream", "a quote is opened here and never closed", "close it on the same line"),
    (r"',' or '\]'|',' or '}'", "a bracket is opened here and never closed, or a comma is missing", None),
    (r"mapping values", "a colon where no key can be", "mend the indentation, or quote a text that holds a colon"),
    (r"could not find expected ':'", "a key without a colon", "write KEY: VALUE"),
    (r"cannot start any token", "this character can't begin a value", "put the text in quotes"),
    (r"unknown escape", "an unknown escape after a backslash", "use single quotes, where a backslash means itself"),
    (r"expected key|block end|'-' indicator", "this line is not indented like those around it", None),
)


def decode(text: str | bytes, file: str, into: type[T], later: Collection[str] = ()) -> T:
    """Read YAML into a frozen dataclass (see `shape`), or raise one `ConfigError` with all that is wrong.

    `file` is only for messages; `later` is what this release knows of and doesn't have (see `shape.Reader`).
    """
    problems = Problems()
    value: Any = BAD
    try:
        node = _compose(_text(text, problems), problems)
        if node is None:
            least = " and ".join(f"{name}: VALUE" for name in needed(into))
            problems.add(Place(1, 1), "the file says nothing", f"write at least {least}" if least else None)
        else:
            value = Reader(problems, later).read(node, into)
    except _Unreadable:
        pass
    if problems.found:
        raise ConfigError(file, problems.found)
    return cast(T, value)


def dump(data: Any, *, careful: bool = False) -> str:
    """Write plain data, `FrozenDict` and tuples as the YAML that Synapse reads back the same: in order, unwrapped.

    If `careful`, so that `decode` does too.
    """
    # The width keeps values on their key's line, where grep finds them.
    style: Any = {"sort_keys": False, "width": 1_000_000, "allow_unicode": True, "default_flow_style": False}
    return str(yaml.dump(data, Dumper=_Careful if careful else _Dumper, **style))


def foreign(text: str | bytes, file: str) -> dict[str, Any]:
    """Read a config of Synapse's as Synapse does, with YAML 1.1's meanings: what it means there is what we take over.

    Raises `Error` where it is none.
    """
    try:
        found = yaml.load(text if len(text) <= MOST_BYTES else "", Loader=yaml.CSafeLoader)
        counted(found, 0)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        place = f":{where.line + 1}:{where.column + 1}" if where else ""
        why = getattr(error, "problem", None) or str(error)
        raise Error(f"{file}{place}: Synapse could not read this file: {why}", hint=f"mend {file}") from None
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise Error(f"{file} is no config of Synapse's", hint="name the folder that has its homeserver.yaml")
    return found


def counted(value: Any, depth: int) -> int:
    """How many values there are in one. Raises `ValueError` for too many: aliases make much of little."""
    inner = (*value.keys(), *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()
    total = 1
    for each in inner:
        if depth > DEEPEST or (total := total + counted(each, depth + 1)) > MOST_NODES:
            raise ValueError("it has more values than any config")
    return total


class _Unreadable(Exception):
    """There is no use in reading on; the problem has been noted."""


# libyaml's, which Debian's python3-yaml always has: pyyaml's own is ten times as slow, writes other bytes, and a text
# with U+0085 comes back without it.
class _Dumper(yaml.CSafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(FrozenDict, lambda dumper, data: dumper.represent_dict(data.items()))
_Dumper.add_representer(tuple, lambda dumper, data: dumper.represent_list(data))


class _Careful(_Dumper):
    pass


def _text_as_text(dumper: Any, text: str) -> Any:
    """A text that one of YAML's versions takes for a number is quoted, as `decode` asks of people."""
    tag = _resolve(yaml.ScalarNode, text, (True, False)).rpartition(":")[2]
    try:
        plain = plain_value(Scalar(Place(1, 1), text, tag)) == text
    except ValueError:
        plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else "'")


_Careful.add_representer(str, _text_as_text)


def _text(raw: str | bytes, problems: Problems) -> str:
    if len(raw) > MOST_BYTES:
        problems.add(Place(1, 1), f"the file is larger than {MOST_BYTES:,} bytes", "it can't be a config of ours")
        raise _Unreadable
    try:
        text = raw.decode() if isinstance(raw, bytes) else raw
    except UnicodeDecodeError as error:
        good = error.object[: error.start].decode()
        message = f"the byte 0x{error.object[error.start]:02x} is not UTF-8"
        problems.add(_at(good, len(good)), message, "save the file as UTF-8")
        raise _Unreadable from None
    text = text.removeprefix("\ufeff")
    for found in _hidden.finditer(text):
        name = "U+" + f"{ord(found[0]):04X}"
        problems.add(_at(text, found.start()), f"the invisible character {name} can't be in this file", "remove it")
        if problems.full:
            break
    if problems.found:
        raise _Unreadable
    return text.replace("\r\n", "\n")


def _at(text: str, offset: int) -> Place:
    before = text[:offset]
    return Place(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _compose(text: str, problems: Problems) -> Node | None:
    """Give the one document of a stream, None if there is none."""
    events = yaml.parse(text, Loader=yaml.CSafeLoader)
    try:
        root = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    problems.add(
                        _place(event), "a second document begins here", "remove the line --- and what follows"
                    )
                    raise _Unreadable
                composer = _Composer(events, problems)
                root = composer.node(next(events), 0)
                if composer.broken:
                    raise _Unreadable
        return root
    except yaml.YAMLError as error:
        _explain(error, text, problems)
        raise _Unreadable from None


class _Composer:
    def __init__(self, events: Iterator[Any], problems: Problems) -> None:
        self.events = events
        self.problems = problems
        self.count = 0
        self.broken = False  # a part is missing, so what the rest means is anybody's guess

    def node(self, event: Any, depth: int) -> Node:
        place = _place(event)
        self.count += 1
        if depth > DEEPEST or self.count > MOST_NODES:
            most = f"is nested deeper than {DEEPEST} levels" if depth > DEEPEST else f"has over {MOST_NODES:,} values"
            self.problems.add(place, f"the file {most}", "it can't be a config of ours")
            raise _Unreadable
        if isinstance(event, yaml.AliasEvent):
            self.problems.add(place, f"the alias *{event.anchor} is not followed here", "write the value again")
            self.broken = True
            return Scalar(place, "", "alias")
        if event.anchor is not None:
            self.problems.add(place, f"the anchor &{event.anchor} has no use here", "remove it")
        if event.tag is not None:
            self.problems.add(place, f"the tag {shown(event.tag)} has no use here", "remove it")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return Items(place, tuple(self.node(inner, depth + 1) for inner in self._inner(yaml.SequenceEndEvent)))
        return self._table(place, depth)

    def _inner(self, end: type) -> Iterator[Any]:
        while not isinstance(event := next(self.events), end):
            yield event

    def _scalar(self, event: Any, place: Place) -> Scalar:
        found = _hidden.search(event.value)
        if found:
            self.problems.add(place, f"the escape for U+{ord(found[0]):04X} can't be in a value", "remove it")
        if event.style:  # None or empty, by the loader, where it is plain
            return Scalar(place, event.value, "str", quoted=True)
        tag = _resolve(yaml.ScalarNode, event.value, (True, False))
        return Scalar(place, event.value, tag.rpartition(":")[2])

    def _table(self, place: Place, depth: int) -> Table:
        rows: dict[str, tuple[Scalar, Node]] = {}
        for event in self._inner(yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if not isinstance(key, Scalar):
                self.problems.add(key.place, "a key must be one word, not a list or mapping", "write KEY: VALUE")
                self.broken = True
            elif key.text in rows:
                first = rows[key.text][0].place.line
                self.problems.add(key.place, f"the key {shown(key.text)} is given twice", f"see line {first}")
            else:
                rows[key.text] = (key, value)
        return Table(place, tuple(rows.values()))


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _explain(error: yaml.YAMLError, text: str, problems: Problems) -> None:
    """Note a syntax error in words of our own, at the place where it began."""
    problem, context = getattr(error, "problem", None) or "it can't be parsed", getattr(error, "context", None) or ""
    mark, begun = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    if begun and re.search(r"quoted scalar|flow", context) and not re.search("escape|tab", problem):
        mark = begun
    place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
    line = [*text.split("\n"), ""][min(place.line - 1, text.count("\n"))]
    if line[place.column - 1 : place.column] == "\t":
        problem = "tab character"
    for pattern, meaning, hint in _MEANINGS:
        if re.search(pattern, problem):
            problems.add(place, meaning, hint)
            return
    problems.add(place, f"this is not valid YAML: {problem}")
