"""How a homeserver and a bridge know each other: a file that both read, with a token for each way.

The form is that of Matrix's application services ("Registration" in its specification).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class Registration(Resource):
    """A registration, for root alone: whoever reads it speaks for everybody whom the bridge speaks for.

    `content` has the names of `tokens`, which are files with secrets, where their words go: {as_token}.
    """

    path: str
    content: str = ""
    tokens: tuple[str, ...] = field(default=(), compare=False)
    mode: int = 0o600
    owner: str = "root"

    @property
    def title(self) -> str:
        return f"registration {self.path}"

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
        for place, token in self._words(host):
            if not token:
                raise Error(f"the token for {place} in {self.path} is gone", hint="matrix-baremetal apply")
            text = text.replace(place, token)
        host.write(self.path, text, self.mode, self.owner)

    def _words(self, host: Host) -> list[tuple[str, str]]:
        """Where a token goes, and the token."""
        names = (path.rpartition("-")[2] for path in self.tokens)
        return [
            (f"{{{name}}}", (host.text(path) or "").strip()) for name, path in zip(names, self.tokens, strict=True)
        ]

    def undo(self, host: Host) -> None:
        host.remove(self.path)
