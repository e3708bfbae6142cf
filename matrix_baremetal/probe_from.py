"""What another machine sees of this one's ports: the only answer to whether a firewall or a router lets people in.

That machine is one of the operator's own, reached by ssh; nothing is installed there, and nobody else is asked.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from matrix_baremetal import probe
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.shell import Failed, TimedOut

# ssh://USER@HOST:PORT as OpenSSH has it; a name that begins with a hyphen would be an option.
PLACE = re.compile(
    r"ssh:(?://)?(?:(?P<user>[a-z_][a-z0-9_-]*)@)?(?P<host>[A-Za-z0-9][A-Za-z0-9._:-]*?)(?::(?P<port>\d{1,5}))?"
)
OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10", "-T")
# Seconds for all of it; and bytes, as what comes from elsewhere is believed nothing.
LIMIT, MOST = 60.0, 1 << 20
States = Literal["open", "refused", "silent", "away"]


@dataclass(frozen=True)
class Question:
    """A port under a name; with `tls` also which certificate is shown there.

    `patience` is in seconds: a firewall that drops says nothing, however long one waits.
    """

    name: str
    port: int
    protocol: str
    tls: bool = False
    patience: float = 5.0


@dataclass(frozen=True)
class Knock:
    """How it went at one address; `certificate` is the SHA-256 of the one that was shown, `none` where none was."""

    address: str
    state: States
    certificate: str = ""


def place(text: str) -> tuple[str, ...]:
    """What ssh is told of ssh:[USER@]HOST[:PORT]. Raises `ValueError`."""
    found = PLACE.fullmatch(text)
    if found is None or int(found["port"] or 22) > 65535:
        raise ValueError(f"{text} names no machine; write one like ssh:me@shell.example.net")
    user = ("-l", found["user"]) if found["user"] else ()
    port = ("-p", found["port"]) if found["port"] else ()
    return (*user, *port, "--", found["host"])


def ask(host: Host, via: str, questions: Sequence[Question]) -> list[tuple[Knock, ...]]:
    """How each went, in their order, seen from there. Raises `Error`, with ssh's own words."""
    if host.node("/usr/bin/ssh") is None:
        raise Error("ssh is not installed", hint="apt install openssh-client")
    rows = json.dumps([asdict(question) for question in questions])
    script = f"{Path(probe.__file__).read_text('utf-8')}\n\nmain({rows!r})\n"
    agent = os.environ.get("SSH_AUTH_SOCK")
    env = {"SSH_AUTH_SOCK": agent} if agent else {}
    try:
        done = host.run("ssh", *OPTIONS, *place(via), "python3", "-I", "-", input=script, env=env, timeout=LIMIT)
        return answers(done.out, len(questions))
    except (Failed, TimedOut) as error:
        words = error.result.last_words if isinstance(error, Failed) else error.message
        raise Error(f"{via} could not be asked: {words}", hint=f"ssh {' '.join(place(via))} python3 -V") from None


def answers(text: str, count: int) -> list[tuple[Knock, ...]]:
    """What came back. Raises `Error` where it is not what was asked for."""
    try:
        rows = json.loads(text[-MOST:].strip().splitlines()[-1])
        found = [tuple(knock(each) for each in row) for row in rows]
        if len(found) != count:
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError):
        raise Error("the other machine answered something else than was asked", hint="use another one") from None
    return found


def knock(row: dict[str, str]) -> Knock:
    """One of them. Raises `ValueError` where it says what none says."""
    state, certificate = row["state"], row["certificate"]
    if state not in get_args(States) or not re.fullmatch(r"[0-9a-f:.]{2,45}", row["address"]):
        raise ValueError
    if not re.fullmatch(r"|none|[0-9a-f]{64}", certificate):
        raise ValueError
    return Knock(row["address"], state, certificate)  # type: ignore[arg-type]
