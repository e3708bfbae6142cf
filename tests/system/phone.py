"""Phones in calls of two, as tests handle them: each is turn.py, somewhere on the pretend internet."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab import nat
from tests.system.site import Site

PHONE = str(Path(__file__).with_name("turn.py"))
# Seconds, of the lab's DNS and a moment more.
TTL = 3
PEERS = ["10.77.0.0/24", "fd77::/64"]


def asked(site: Site, credentials: dict[str, Any], transport: str, **more: Any) -> dict[str, Any]:
    """What a phone does, with Synapse's credentials."""
    port = {"udp": 3478, "tls": 5349}[transport]
    who = {"username": credentials["username"], "password": credentials["password"]}
    return {"to": [site.guest.ip, port], "transport": transport, "name": site.hostname, **who, **more}


class Phone(subprocess.Popen[str]):
    """A part in a call, which goes on beside the test."""

    def __init__(self, argv: Sequence[str], task: dict[str, Any]) -> None:
        super().__init__(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.tell(json.dumps(task))

    def tell(self, line: str) -> None:
        assert self.stdin
        self.stdin.write(line + "\n")
        self.stdin.flush()

    def says(self) -> dict[str, Any]:
        assert self.stdout and self.stderr
        line = self.stdout.readline()
        assert line, self.stderr.read()
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        rest, wrong = self.communicate(timeout=30)
        assert self.returncode == 0, wrong
        assert rest == ""


def phone(home: nat.Home, task: dict[str, Any]) -> Phone:
    return Phone(home.argv(["python3", PHONE]), task)
