"""How an operator has mail leave the server: a part of the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from matrix_baremetal import names
from matrix_baremetal.shape import Mistake, Mistakes

LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _port(number: int) -> int:
    if not 1 <= number <= 65535:
        raise ValueError(f"{number} is not between 1 and 65535")
    return number


@dataclass(frozen=True)
class Smtp:
    """The mail server that takes the homeserver's mail: with which login, over TLS or not, and from whom it comes."""

    host: Annotated[str, names.mail_host]
    from_: Annotated[str, names.email]
    port: Annotated[int, _port] = 587
    user: Annotated[str, names.line] | None = None
    password_file: Annotated[str, names.path] | None = None
    encryption: Literal["required", "none"] = "required"

    def __post_init__(self) -> None:
        if self.user and not self.password_file:
            raise Mistakes([Mistake(("user",), "a login needs a password too", "write password_file: FILE")])
        if self.password_file and not self.user:
            raise Mistakes([Mistake(("password_file",), "a password needs a login too", "write user: NAME")])
        if self.user and self.encryption == "none" and self.host not in LOOPBACK:
            message = "the password would go to another machine for all to read on the way"
            raise Mistakes([Mistake(("encryption",), message, "remove the line")])


@dataclass(frozen=True)
class Mail:
    """How mail leaves this server."""

    smtp: Smtp
