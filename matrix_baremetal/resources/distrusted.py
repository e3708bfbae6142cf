"""A certificate that a package has made and has the whole machine believe, where nothing needs that."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource

PLACE = "/usr/local/share/ca-certificates"


@dataclass(frozen=True)
class Distrusted(Resource):
    """The certificate of this name is none of those that the machine believes (update-ca-certificates(8))."""

    live: ClassVar[bool] = True

    certificate: str
    gone: bool = True

    @property
    def path(self) -> str:
        """Where it would be."""
        return f"{PLACE}/{self.certificate}.crt"

    @property
    def title(self) -> str:
        return f"certificate {self.path}, believed by the whole machine"

    @property
    def noun(self) -> str:
        return "certificate"

    def find(self, host: Host) -> Self | None:
        return replace(self, gone=host.node(self.path) is None)

    def make(self, host: Host, found: Self | None) -> None:
        host.remove(self.path)
        host.run("update-ca-certificates", "--fresh", timeout=300)

    def verb(self, found: Resource | None) -> str:
        return "remove"
