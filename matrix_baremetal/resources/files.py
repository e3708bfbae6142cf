"""Files, links and directories, and secrets that are made once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class File(Resource):
    """A text file that is ours whole."""

    path: str
    content: str = ""
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"

    @property
    def title(self) -> str:
        return f"file {self.path}"

    @property
    def noun(self) -> str:
        return "file"

    @property
    def editable(self) -> tuple[str, ...]:
        return (self.path,)

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None:
            return None
        if node.kind == "directory":
            raise Error(
                f"{self.path} is a directory, and a file is to be there", hint=f"mv {self.path} {self.path}.old"
            )
        content = host.text(self.path) if node.kind == "file" else f"({node.kind})"
        return replace(self, content=content or "", mode=node.mode, owner=node.owner, group=node.group)

    def make(self, host: Host, found: Self | None) -> None:
        if found is not None and found.content == self.content:
            host.own(self.path, self.owner, self.group)
            host.path(self.path).chmod(self.mode)
        else:
            host.write(self.path, self.content, self.mode, self.owner, self.group)

    def undo(self, host: Host) -> None:
        host.remove(self.path)


@dataclass(frozen=True)
class TestedFile(File):
    """A file that a program has to approve of before it counts, such as one of nginx's.

    Written, tested by `test` (a command; what it says goes into the error), and on a bad result put back as it
    was. Until it has passed, the old one stays beside it: a kill in between is repaired by the next run.
    """

    test: tuple[str, ...] = field(default=(), compare=False)
    tested: bool = True

    @property
    def before(self) -> str:
        """Where the old content waits; an empty file says that there was none."""
        directory, _, name = self.path.rpartition("/")
        return f"{directory}/.{name}.before"

    def find(self, host: Host) -> Self | None:
        found = super().find(host)
        return found and replace(found, tested=host.node(self.before) is None)

    def digest(self) -> str:
        # A state of ours is ours before its test as well: it is not kept aside as if a person had made it.
        return super().digest() if self.tested else replace(self, tested=True).digest()

    def make(self, host: Host, found: Self | None) -> None:
        if not host.live:
            super().make(host, found)
            return
        if host.node(self.before) is None:
            host.write(self.before, (host.read(self.path) if found else None) or b"", 0o600)
        super().make(host, found)
        result = host.run(*self.test, ok=range(256))
        if result.status == 0:
            host.remove(self.before)
            return
        self._put_back(host)
        raise Error(
            f"{self.test[0]} does not accept the new {self.path}, so the old one is back: {result.last_words}",
            hint=" ".join(self.test),
        )

    def _put_back(self, host: Host) -> None:
        old = host.read(self.before)
        if old:
            host.write(self.path, old, self.mode, self.owner, self.group)
        else:
            host.remove(self.path)
        host.remove(self.before)


@dataclass(frozen=True)
class Link(Resource):
    """A symbolic link."""

    path: str
    target: str = ""

    @property
    def editable(self) -> tuple[str, ...]:
        return (self.path,)

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None:
            return None
        if node.kind != "link":
            raise Error(
                f"{self.path} is a {node.kind}, and a link to {self.target} is to be there",
                hint=f"mv {self.path} {self.path}.old",
            )
        return replace(self, target=host.target(self.path) or "")

    def make(self, host: Host, found: Self | None) -> None:
        host.link(self.path, self.target)

    def undo(self, host: Host) -> None:
        host.remove(self.path)


@dataclass(frozen=True)
class Directory(Resource):
    """A directory with its owner and mode; what is in it is somebody else's matter."""

    path: str
    mode: int = 0o755
    owner: str = "root"
    group: str = "root"

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None:
            return None
        if node.kind != "directory":
            raise Error(
                f"{self.path} is a {node.kind}, and a directory is to be there",
                hint=f"mv {self.path} {self.path}.old",
            )
        return replace(self, mode=node.mode, owner=node.owner, group=node.group)

    def make(self, host: Host, found: Self | None) -> None:
        host.mkdir(self.path, self.mode, self.owner, self.group)

    def undo(self, host: Host) -> None:
        host.remove(self.path)


@dataclass(frozen=True)
class Scratch(Directory):
    """A directory that a service of ours keeps what can be made again in, which goes with it."""

    def undo(self, host: Host) -> None:
        host.remove_tree(self.path)


def random_text() -> str:
    """A secret for programs: 384 bits."""
    return secrets.token_urlsafe(48)


def readable_text(signs: int, group: int) -> str:
    """A secret for people, to read aloud and type on a phone: so many of 32 signs, five bits each, in groups."""
    made = [secrets.choice("abcdefghijkmnpqrstuvwxyz23456789") for _ in range(signs)]
    return "-".join("".join(made[i : i + group]) for i in range(0, signs, group))


@dataclass(frozen=True)
class Secret(Resource):
    """A file with a secret that is made once, on this host, and never again: it has no content to compare.

    `invent` makes the text. It is never undone, and never made anew once `witness` is there, a file that came after
    it: a lost secret is a lost login, a lost signing key a lost server, and a backup may still have it.

    `use` says what it is for, `breaks` what another one would end: a sentence's rest, for a person who has to decide;
    None where none may ever take its place.
    """

    path: str
    mode: int = 0o600
    owner: str = "root"
    group: str = "root"
    witness: str = field(default="", compare=False)
    invent: Callable[[], str] = field(default=random_text, compare=False, repr=False)
    use: str = field(default="", compare=False)
    breaks: str | None = field(default=None, compare=False)

    @property
    def short(self) -> str:
        """What people, and services that are handed it, call it."""
        return self.path.rpartition("/")[2]

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None and not (self.witness and host.node(self.witness)):
            return None
        if node is None or node.kind != "file" or not host.read(self.path):
            state = "gone" if node is None else "empty" if node.kind == "file" else f"a {node.kind}"
            raise Error(
                f"{self.path} should hold a secret and is {state}",
                hint="put it back from a backup; a new one would break what was made with the old one",
            )
        return replace(self, mode=node.mode, owner=node.owner, group=node.group)

    def make(self, host: Host, found: Self | None) -> None:
        if found is None:
            host.write(self.path, self.invent(), self.mode, self.owner, self.group)
        else:
            host.own(self.path, self.owner, self.group)
            host.path(self.path).chmod(self.mode)

    def renew(self, host: Host) -> None:
        """Put another one in its place: the services that read it are stale then."""
        host.write(self.path, self.invent(), self.mode, self.owner, self.group)
