"""Files with passwords in them that the operator keeps in files of their own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class Filled(Resource):
    """A file that is ours whole, where each of the texts in `secrets` stands for what is in a file.

    In YAML it becomes a text in quotes; with `quoted` false the format takes it as it is, on one line.
    For programs that take a password from their config alone. The content that is compared has the texts and not the
    passwords, so that no plan shows one; whether those are as they should be is `filled`. Its last line is a digest
    of the others: what a person has `edited` is kept aside, and a file of ours with an old password is not.
    """

    path: str
    content: str = ""
    mode: int = 0o640
    owner: str = "root"
    group: str = "root"
    secrets: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    quoted: bool = field(default=True, compare=False)
    edited: bool = field(default=False, compare=False)
    filled: bool = True

    @property
    def title(self) -> str:
        return f"file {self.path}"

    @property
    def noun(self) -> str:
        return "file"

    @property
    def editable(self) -> tuple[str, ...]:
        return (self.path,) if self.edited else ()

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None:
            return None
        text = (host.text(self.path) or "") if node.kind == "file" else ""
        same = text == self._whole(host)
        return replace(
            self,
            content=self.content if same else "(other content)\n",
            mode=node.mode,
            owner=node.owner,
            group=node.group,
            edited=text != sealed("".join(text.splitlines(keepends=True)[:-1])),
            filled=same,
        )

    def make(self, host: Host, found: Self | None) -> None:
        host.write(self.path, self._whole(host), self.mode, self.owner, self.group)

    def undo(self, host: Host) -> None:
        host.remove(self.path)

    def _whole(self, host: Host) -> str:
        whole = self.content
        for mark, path in self.secrets:
            text = password(host, path, mark, one_line=not self.quoted)
            # A text of JSON is one of YAML too, whatever is in it.
            whole = whole.replace(mark, json.dumps(text) if self.quoted else text)
        return sealed(whole)


def sealed(text: str) -> str:
    """A text with a last line that tells whether it is as it was written."""
    return f"{text}# {hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}\n"


@dataclass(frozen=True)
class SecretCopy(Resource):
    """A copy of the password in a file of the operator's, for whoever is handed it: their file may end a line.

    As it has nothing of its own it is never kept aside, and where nobody asks for it any more it is gone.
    """

    path: str
    source: str = field(default="", compare=False)
    mode: int = 0o600
    owner: str = "root"
    group: str = "root"
    same: bool = True

    @property
    def title(self) -> str:
        return f"file {self.path}"

    @property
    def noun(self) -> str:
        return "file"

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None:
            return None
        same = bool(self.source) and node.kind == "file" and host.text(self.path) == self._text(host)
        return replace(self, mode=node.mode, owner=node.owner, group=node.group, same=same)

    def make(self, host: Host, found: Self | None) -> None:
        host.write(self.path, self._text(host), self.mode, self.owner, self.group)

    def undo(self, host: Host) -> None:
        host.remove(self.path)

    def _text(self, host: Host) -> str:
        return password(host, self.source, f"the content of {self.source}", one_line=True)


def password(host: Host, path: str, mark: str, *, one_line: bool) -> str:
    """What is in a file of the operator's; in a folder there is none, and the mark shows where one goes.

    Raises `Error` where there is no password, or one of several lines that has to be on one, or one that Synapse and
    others could not read.
    """
    text = (host.text(path) or "").strip("\r\n") if host.live else mark
    if not text:
        raise Error(f"{path} should hold a password and does not", hint=f"write it into {path}, on one line")
    if one_line and len(text.splitlines()) != 1:
        raise Error(f"{path} should hold a password on one line and has more", hint=f"mend {path}")
    return in_utf8(text, path)


def in_utf8(text: str, path: str) -> str:
    """The text of a file, where its bytes were UTF-8. Raises `Error` where they were not."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise Error(f"{path} should hold a password in UTF-8 and does not", hint=f"write it anew into {path}")
    return text
