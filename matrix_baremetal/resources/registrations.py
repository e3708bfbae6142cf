"""How a homeserver and a bridge know each other: a file that both read, with a token for each way; and whatever else
is made of such tokens.

The form is that of Matrix's application services ("Registration" in its specification).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class Registration(Resource):
    """A registration, for root alone: whoever reads it speaks for everybody whom the bridge speaks for.

    `content` has the names of `tokens`, which are files with secrets, where their words go: {as_token}. `borrowed`
    are files of the operator's, by the names that they go by there.
    """

    path: str
    content: str = ""
    tokens: tuple[str, ...] = field(default=(), compare=False)
    mode: int = 0o600
    owner: str = "root"
    called: str = field(default="registration", compare=False)
    borrowed: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def title(self) -> str:
        return f"{self.called} {self.path}"

    def accounts(self, server_name: str) -> tuple[str, ...]:
        """Patterns of the accounts that nobody but the bridge may use: not those of people whom it may act for."""
        known = json.loads(self.content)
        sender = re.escape(f"@{known['sender_localpart']}:{server_name}")
        return (sender, *(user["regex"] for user in known["namespaces"]["users"] if user["exclusive"]))

    def find(self, host: Host) -> Self | None:
        node, text = host.node(self.path), host.text(self.path)
        if node is None or text is None:
            return None
        for place, token in self._words(host):
            # One that is missing or another stays as it stands there, and differs.
            text = text.replace(token, place) if token else text
        return replace(self, content=text, mode=node.mode, owner=node.owner)

    def make(self, host: Host, found: Self | None) -> None:
        text = self.content
        for name, path in self.borrowed:
            # In a folder there are none of the machine's own files, and the name shows where one goes.
            if host.live and not lent(host, path):
                raise Error(f"{path} should hold {name} and does not", hint=f"write it into {path}, on one line")
        for place, token in self._words(host):
            if not token and place[1:-1] not in dict(self.borrowed):
                raise Error(f"the token for {place} in {self.path} is gone", hint="matrix-baremetal apply")
            text = text.replace(place, token or place)
        host.write(self.path, text, self.mode, self.owner)

    def _words(self, host: Host) -> list[tuple[str, str]]:
        """Where a token goes, and the token."""
        names = (path.rpartition("-")[2] for path in self.tokens)
        own = [
            (f"{{{name}}}", (host.text(path) or "").strip()) for name, path in zip(names, self.tokens, strict=True)
        ]
        return own + [(f"{{{name}}}", lent(host, path)) for name, path in self.borrowed]

    def undo(self, host: Host) -> None:
        host.remove(self.path)


def lent(host: Host, path: str) -> str:
    """What an operator's file holds, as it stands in a string of JSON's."""
    return json.dumps((host.text(path) or "").strip())[1:-1]
