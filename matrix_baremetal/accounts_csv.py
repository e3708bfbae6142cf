"""A CSV file of people who are to have accounts: read whole, every mistake said with its place, before any is made.

The csv module reads it; it knows no columns, so where a field begins is counted here.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from matrix_baremetal import names
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.names import shown
from matrix_baremetal.nodes import Place, Problems
from matrix_baremetal.shape import meant

MOST_BYTES = 10_000_000
LONGEST_NAME = 256  # Synapse's MAX_DISPLAYNAME_LEN
LONGEST_PASSWORD = 512  # what Synapse's admin API takes
YES, NO = {"yes", "y", "true", "1"}, {"", "no", "n", "false", "0"}
AGAIN = "mend it, then run the same command again; no account has been made"


@dataclass(frozen=True)
class Person:
    """One line; `user` is the whole Matrix id, `places` say where each column of it is."""

    user: str
    displayname: str | None = None
    email: str | None = None
    admin: bool = False
    password: str | None = field(default=None, repr=False)
    places: Mapping[str, Place] = field(default_factory=dict, compare=False, repr=False)


def decode(raw: bytes, file: str, server: str) -> tuple[Person, ...]:
    """The people of a file, for accounts on `server`. Raises one `ConfigError` with all that is wrong."""
    problems = Problems()
    people = tuple(_people(_text(raw, problems), problems, server))
    refuse(file, problems)
    return people


def refuse(file: str, problems: Problems) -> None:
    """Raise what was found, if anything was."""
    if problems.found:
        raise ConfigError(file, problems.found, hint=AGAIN)


def _text(raw: bytes, problems: Problems) -> str:
    if len(raw) > MOST_BYTES:
        problems.add(Place(1, 1), f"the file is larger than {MOST_BYTES:,} bytes", "import it in parts")
        return ""
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        problems.add(Place(line, column), f"the byte 0x{raw[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        return ""
    if not text.strip():
        problems.add(
            Place(1, 1), "the file says nothing", "write a first line: name,displayname,email,admin,password"
        )
    return text


def _people(text: str, problems: Problems, server: str) -> Iterator[Person]:
    records = _records(text, problems)
    columns = _columns(next(records, ([], [])), problems)
    seen: dict[tuple[str, str], int] = {}
    for cells, places in records:
        if problems.full or "name" not in columns:
            return
        if len(cells) != len(columns):
            message = f"this line has {len(cells)} fields, and the first line has {len(columns)}"
            problems.add(places[min(len(cells), len(columns)) - 1], message, "a field with a comma is put in quotes")
            continue
        person = _person(
            dict(zip(columns, cells, strict=True)), dict(zip(columns, places, strict=True)), problems, server
        )
        if person is not None:
            _once(person, seen, problems)
            yield person


def _records(text: str, problems: Problems) -> Iterator[tuple[list[str], list[Place]]]:
    """The fields of each record with their places; lines without any text are passed over."""
    lines = list(io.StringIO(text, newline=""))
    first = next((line for line in lines if line.strip()), "")
    # Spreadsheets write semicolons where the comma is a decimal sign.
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    begun = 0
    try:
        for cells in reader:
            places = _places(lines[begun : reader.line_num], begun + 1, delimiter)
            begun = reader.line_num
            if any(cell.strip() for cell in cells):
                yield cells, places
    except csv.Error as error:
        problems.add(Place(begun + 1, 1), f"this is not valid CSV: {error}", "a quote in a field is written twice")


def _places(lines: list[str], line: int, delimiter: str) -> list[Place]:
    """Where each field of a record begins: after a delimiter that is not in quotes."""
    places, inside = [Place(line, 1)], False
    framed = False  # a quote means something only in a field that begins with one
    for number, text in enumerate(lines, line):
        for column, char in enumerate(text, 1):
            if char == '"' and (framed or places[-1] == Place(number, column)):
                framed, inside = True, not inside
            elif char == delimiter and not inside:
                places.append(Place(number, column + 1))
                framed = False
    return places


def _columns(header: tuple[list[str], list[Place]], problems: Problems) -> list[str]:
    columns = [cell.strip().lower() for cell in header[0]]
    if columns and "name" not in columns:
        # Said alone: where the first line is not one of names, a password may stand in it.
        problems.add(header[1][0], "the first line has no column name", f"it names columns: {', '.join(CHECKS)}")
        return columns
    for number, (name, place) in enumerate(zip(columns, header[1], strict=True)):
        if name not in CHECKS:
            hint = meant(name, CHECKS) or f"known are {', '.join(CHECKS)}"
            problems.add(place, f"there is no column {shown(name)}", hint)
        elif name in columns[:number]:
            problems.add(place, f"the column {name} is there twice", "remove one of the two")
    return columns


def _person(cells: Mapping[str, str], places: Mapping[str, Place], problems: Problems, server: str) -> Person | None:
    values: dict[str, Any] = {}
    for column, text in cells.items():
        try:
            if column in CHECKS:
                values[column] = CHECKS[column](text, server)
        except ValueError as error:
            problems.add(places[column], f"{column}: {error}")
    if "name" not in values:
        return None
    return Person(values.pop("name"), **values, places=places)


def _once(person: Person, seen: dict[tuple[str, str], int], problems: Problems) -> None:
    """Two lines for one name, or for one address, which Synapse would take from the first and give to the second."""
    for column, value in (("name", person.user), ("email", (person.email or "").lower())):
        if value and (column, value) in seen:
            problems.add(person.places[column], f"{column}: this is there already", f"see line {seen[column, value]}")
        elif value:
            seen[column, value] = person.places[column].line


def _name(text: str, server: str) -> str:
    text = text.strip()
    local = names.local_user(text, server)[1:].partition(":")[0] if text.startswith("@") else text
    return names.user_id(names.localpart(local), server)


def _displayname(text: str, server: str) -> str | None:
    text = text.strip()
    if len(text) > LONGEST_NAME:
        raise ValueError(f"it has at most {LONGEST_NAME} characters, this one has {len(text)}")
    if not text.isprintable():
        raise ValueError(f"{shown(text)} has characters that can't be seen")
    return text or None


def _email(text: str, server: str) -> str | None:
    return names.email(text.strip()) if text.strip() else None


def _admin(text: str, server: str) -> bool:
    word = text.strip().lower()
    if word not in YES | NO:
        raise ValueError(f"expected yes or no, found {shown(text)}")
    return word in YES


def _password(text: str, server: str) -> str | None:
    # Never shown, whatever is wrong with it.
    if len(text) > LONGEST_PASSWORD:
        raise ValueError(f"it has at most {LONGEST_PASSWORD} characters, this one has {len(text)}")
    if not text.isprintable():
        raise ValueError("it has characters that nobody can type")
    return text or None


CHECKS: Mapping[str, Callable[[str, str], Any]] = {
    "name": _name,
    "displayname": _displayname,
    "email": _email,
    "admin": _admin,
    "password": _password,
}
