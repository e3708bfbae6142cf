"""What a resource is: one thing on the host in the state it should be in, which can find itself and make itself.

Desired and found are values of one class, so comparison, difference, digest and drift are written once, here.
"""

from __future__ import annotations

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from matrix_baremetal.host import Host


@dataclass(frozen=True)
class Difference:
    """One field that is not as it should be; both texts are masked where the field is a secret."""

    field: str
    before: str
    after: str

    @property
    def lines(self) -> tuple[str, ...]:
        """In words: both values, or a unified diff where they have lines."""
        if "\n" not in self.before + self.after:
            return (f"{self.field}: {self.before} → {self.after}" if self.before else f"{self.field}: {self.after}",)
        import difflib

        texts = self.before.splitlines(), self.after.splitlines()
        return tuple(difflib.unified_diff(*texts, lineterm="", n=2))[2:]


@dataclass(frozen=True)
class Resource(ABC):
    """One thing on the host, in the state it should be in.

    A field with `compare=False` can't be read back, or says how and not what; one with `repr=False` is a secret.
    The first field is the name and the others have defaults, so that what we made can be undone by its name alone.
    """

    # Its name among the kinds, as the manifest keeps it, mapped to the class.
    kinds: ClassVar[dict[str, type[Resource]]] = {}
    # Whether it exists on a running system alone; in a folder made with --root it waits for the first boot.
    live: ClassVar[bool] = False

    def __init_subclass__(cls, abstract: bool = False) -> None:
        if not abstract:
            Resource.kinds[cls.__name__] = cls

    @property
    def name(self) -> str:
        """What tells it from others of its kind: a path, a unit, a database."""
        return str(getattr(self, fields(self)[0].name))

    @property
    def key(self) -> tuple[str, str]:
        """Its identity on this host."""
        return type(self).__name__, self.name

    @property
    def title(self) -> str:
        """What a person calls it in a plan."""
        return f"{type(self).__name__.lower()} {self.name}"

    @property
    def spare(self) -> bool:
        """Whether a run goes on where this fails: what a part beside the homeserver has from elsewhere."""
        return False

    @property
    def noun(self) -> str:
        """What a person calls one of its kind; nothing where it is none to count."""
        return re.sub(r"(?<!^)(?=[A-Z])", " ", type(self).__name__).lower()

    @property
    def paths(self) -> tuple[str, ...]:
        """What it keeps on disk: a change of it makes stale whoever reads one of these."""
        return (self.name,) if self.name.startswith("/") else ()

    @property
    def editable(self) -> tuple[str, ...]:
        """The paths that a person may have put something of their own at: kept aside before ours replaces it."""
        return ()

    @abstractmethod
    def find(self, host: Host) -> Self | None:
        """The same thing as the host has it now, None where it has none. Never writes."""

    @classmethod
    def find_each(cls, wanted: Sequence[Self], host: Host) -> Sequence[Self | None]:
        """What `find` says of each of these, in their order, where one look at the host tells of all of them.

        Nothing, for most kinds, of which each finds itself.
        """
        return ()

    @abstractmethod
    def make(self, host: Host, found: Self | None) -> None:
        """Bring the host to the state asked for. Called only when what was found differs."""

    def undo(self, host: Host) -> None:
        """Take away what `make` made and nobody asks for any more: nothing, for most kinds. Data always stays.

        Raises `Pending` where it is still in use, and goes with what comes in its place.
        """

    @property
    def undoable(self) -> bool:
        """Whether anything is taken away when nobody asks for it any more."""
        return type(self).undo is not Resource.undo

    def verb(self, found: Resource | None) -> str:
        """What a person calls the way from `found` to this."""
        return "create" if found is None else "update"

    def stale_after(self, touched: frozenset[str]) -> Self:
        """This, as found, once the paths in `touched` have changed: only what reads files answers otherwise."""
        return self

    def digest(self) -> str:
        """A short name for this state. Every compared field counts, secrets too, so `repr` would not do."""
        text = json.dumps([type(self).__name__, state(self)], sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def differences(self, found: Resource | None) -> tuple[Difference, ...]:
        """Where `found` is not as this; against None, all that would be made. Secrets are masked."""
        old = {} if found is None else state(found)
        secret = {field.name for field in fields(self) if not field.repr}
        return tuple(
            difference(name, old.get(name), after, secret=name in secret)
            for name, after in state(self).items()
            if name not in old or old[name] != after
        )


@dataclass(frozen=True)
class Reader(Resource, abstract=True):
    """A resource that must look again when a path it reads has changed, such as a service that read its config."""

    @property
    @abstractmethod
    def reads(self) -> tuple[str, ...]:
        """The paths it reads."""

    @abstractmethod
    def staled(self) -> Self:
        """The same, known to have read something old."""

    def stale_after(self, touched: frozenset[str]) -> Self:
        return self.staled() if self.touched(touched) else self

    def touched(self, paths: frozenset[str]) -> frozenset[str]:
        """Which of what it reads is among these paths, or is a directory that one of them is in."""
        return frozenset(
            place for place in self.reads for path in paths if path == place or path.startswith(f"{place}/")
        )


def state(resource: Resource) -> dict[str, Any]:
    """The compared fields by name, as JSON can hold them."""
    return {field.name: plain(getattr(resource, field.name)) for field in fields(resource) if field.compare}


def plain(value: Any) -> Any:
    """A value as JSON can hold it, in an order that is the same each run."""
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value


def difference(name: str, before: Any, after: Any, *, secret: bool) -> Difference:
    """Two values of a field, fit to be read by anybody; None is nothing."""
    if secret:
        return Difference(name, "" if before is None else "(secret, as it is)", "(secret, another)")
    texts = ["" if value is None else masked(spoken(name, value)) for value in (before, after)]
    if texts[0] == texts[1]:
        texts = ["(with a secret, as it is)", "(with another secret)"]
    return Difference(name, *texts)


# A key such as smtp_pass, client_secret or pepper; the path of a file with a secret is none, nor is a switch.
SECRET_KEY = re.compile(
    r"""^(?P<indent>[ \t]*(?:-[ \t]+)?)(?P<key>['"]?[\w.-]*(?:pass|secret|token|private|pepper|api_?key|dsn)"""
    r"""(?![\w.-]*(?:_path|_file)['"]?[ \t]*[:=])[\w.-]*['"]?[ \t]*[:=])(?P<value>.*)$""",
    re.IGNORECASE,
)
SWITCH = re.compile(r"[ \t]*(?:true|false|null|\d+)?[ \t]*$")
IN_ADDRESS = re.compile(r"(?<=://)[^/\s:@]*:[^/\s]+(?=@)")


def masked(text: str) -> str:
    """A file's text without the secrets that an operator wrote into Synapse's settings, of many lines too."""
    lines: list[str] = []
    below: int | None = None
    for line in text.splitlines(keepends=True):
        depth = len(line) - len(line.lstrip(" \t"))
        listed = depth == below and line.lstrip().startswith("- ")
        if below is not None and (not line.strip() or depth > below or listed):
            continue
        below = None
        found = SECRET_KEY.match(line.rstrip("\n"))
        if found and not (found["value"].strip() and SWITCH.match(found["value"])):
            below = len(found["indent"])
            line = f"{found['indent']}{found['key']} (secret)\n"
        lines.append(IN_ADDRESS.sub("(secret)", line))
    return "".join(lines)


def spoken(name: str, value: Any) -> str:
    """A field's value for a person: modes are octal, truth is yes or no."""
    if name == "mode":
        return f"{value:04o}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return str(value)
