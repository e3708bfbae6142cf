"""How a name follows a home line whose address changes: a part of the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from matrix_baremetal import names
from matrix_baremetal.shape import Mistake, Mistakes


def _address(text: str) -> str:
    return text if text == "auto" else names.url(text)


def _some(found: tuple[str, ...]) -> tuple[str, ...]:
    if not found:
        raise ValueError("a list of at least one name is expected, and it is empty")
    if twice := [name for i, name in enumerate(found) if name in found[:i]]:
        raise ValueError(f"{twice[0]} is listed twice; remove one of the two")
    return found


@dataclass(frozen=True)
class Ddns:
    """Who has the names in the DNS, which they are, how to log in there, and how this line's address is found."""

    provider: Literal["dynu", "no-ip", "duckdns", "dyndns2"]
    hostnames: Annotated[tuple[Annotated[str, names.hostname], ...], _some]
    password_file: Annotated[str, names.path]
    user: Annotated[str, names.login] | None = None
    server: Annotated[str, names.hostname] | None = None
    address: Annotated[str, _address] = "auto"

    def __post_init__(self) -> None:
        wrong = []
        if self.provider == "duckdns" and self.user is not None:
            message = "DuckDNS asks for a token alone, which is what password_file holds"
            wrong.append(Mistake(("user",), message, "remove the line"))
        if self.provider != "duckdns" and self.user is None:
            message = f"{self.provider} asks for a user too"
            wrong.append(Mistake(("provider",), message, "write user: NAME"))
        if self.provider == "dyndns2" and self.server is None:
            message = "dyndns2 is what many providers speak, and which one is meant is not said"
            wrong.append(Mistake(("provider",), message, "write server: HOSTNAME, as the provider's help has it"))
        if self.provider != "dyndns2" and self.server is not None:
            message = f"the server of {self.provider} is known"
            wrong.append(Mistake(("server",), message, "remove the line, or write provider: dyndns2"))
        if wrong:
            raise Mistakes(wrong)
