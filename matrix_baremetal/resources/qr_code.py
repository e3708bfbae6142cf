"""A picture that a phone's camera reads."""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass, replace
from typing import Self

from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource

# Modules of white around it, without which cameras don't find it (ISO/IEC 18004).
QUIET = 4
FORM = re.compile(r'.*<desc>(?P<text>[^<]+)</desc>.* d="(?P<drawing>[^"]+)".*<!-- (?P<digest>\w+) -->\n', re.DOTALL)


@dataclass(frozen=True)
class QrCode(Resource):
    """A QR code of a text as an SVG file. The text, which is an address, stands in it: to look costs no drawing."""

    path: str
    text: str = ""

    @property
    def title(self) -> str:
        return f"QR code {self.path}"

    @property
    def editable(self) -> tuple[str, ...]:
        return (self.path,)

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None:
            return None
        seen = FORM.fullmatch(host.text(self.path) or "") if node.kind == "file" else None
        whole = seen and node.mode == 0o644 and seen["digest"] == digest(seen["text"], seen["drawing"])
        return replace(self, text=html.unescape(seen["text"]) if seen and whole else "(another picture)")

    def make(self, host: Host, found: Self | None) -> None:
        host.write(self.path, svg(self.text), 0o644)

    def undo(self, host: Host) -> None:
        host.remove(self.path)


def svg(text: str) -> str:
    """The picture: black on white whatever is around it, as few cameras read the reverse."""
    import segno

    rows = tuple(segno.make(text, error="m", micro=False).matrix)
    size = len(rows) + 2 * QUIET
    dots = [f"M{x + QUIET} {y + QUIET}h1v1h-1z" for y, row in enumerate(rows) for x, dark in enumerate(row) if dark]
    drawing, said = "".join(dots), html.escape(text)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<desc>{said}</desc><path fill="#fff" d="M0 0h{size}v{size}h-{size}z"/>'
        f'<path d="{drawing}"/></svg>\n<!-- {digest(said, drawing)} -->\n'
    )


def digest(text: str, drawing: str) -> str:
    """What tells a picture that was changed by hand."""
    return hashlib.sha256(f"{text}\n{drawing}".encode("utf-8", "surrogateescape")).hexdigest()[:16]
