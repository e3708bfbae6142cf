"""A small Matrix client, as somebody on the lab's pretend internet: its names, addresses and trusted roots.

curl asks, so that certificates are checked as strictly as by anybody else, and any answer can be looked at.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

from tests.lab import CommandFailed
from tests.lab.guest import Completed

# Milliseconds that a person waits without a word.
MOMENT = 10_000


class MatrixError(Exception):
    """A homeserver said no, or not in time."""


@dataclass(frozen=True)
class Answer:
    """What came back; names of headers are in lower case, `http` is the version as curl says it (1.1, 2)."""

    status: int
    headers: dict[str, str]
    text: str
    http: str

    @property
    def data(self) -> Any:
        return json.loads(self.text)


class Asker(Protocol):
    """Somebody with names, addresses and roots, who runs a program as they see the world: a Lab, or this machine."""

    def client(self, argv: Sequence[str], *, input: str | None, timeout: float | None) -> Completed: ...


class Web:
    """Asks URLs as an asker sees them. Never follows a redirect, never takes a certificate that doesn't hold."""

    def __init__(self, asker: Asker) -> None:
        self.asker = asker

    def ask(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        token: str | None = None,
        timeout: float = 30,
        options: Sequence[str] = (),
    ) -> Answer:
        """One request; `body` goes as JSON, `options` are curl's. Raises CommandFailed where there is no answer."""
        rows = {"request": method, "url": url, "max-time": f"{timeout:g}"}
        headers = []
        if token:
            headers.append(f"Authorization: Bearer {token}")
        if body is not None:
            headers.append("Content-Type: application/json")
            rows["data-raw"] = json.dumps(body)
        if method == "HEAD":
            rows["head"] = ""
        # All of it by stdin: this machine's list of processes is not for passwords either.
        lines = [f"{name} = {quoted(value)}" if value else name for name, value in rows.items()]
        lines += [f"header = {quoted(header)}" for header in headers]
        write = ("--dump-header", "/dev/stderr", "--write-out", "\n%{http_code} %{http_version}")
        argv = ["curl", "--silent", "--show-error", "--globoff", "--path-as-is", *write, *options, "--config", "-"]
        done = self.asker.client(argv, input="\n".join(lines), timeout=timeout + 10)
        text, _, last = done.stdout.rpartition("\n")
        status, http = last.split()
        return Answer(int(status), parsed(done.stderr), text, http)

    def works(self, url: str, options: Sequence[str] = ()) -> bool:
        """Whether anything answers there, over a connection that holds."""
        try:
            self.ask("GET", url, timeout=10, options=options)
        except CommandFailed:
            return False
        return True


def quoted(value: str) -> str:
    """A value as curl's config files write it."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(c, c) for c in value) + '"'


def parsed(head: str) -> dict[str, str]:
    """The headers of the last answer in what curl dumped."""
    found: dict[str, str] = {}
    for line in head.splitlines():
        if line.startswith("HTTP/"):
            found = {}
        name, colon, value = line.partition(":")
        if colon:
            found[name.strip().lower()] = value.strip()
    return found


class Person:
    """Somebody who is logged in at a homeserver."""

    def __init__(self, web: Web, homeserver: str, user: str, token: str) -> None:
        self.web, self.homeserver, self.user, self.token = web, homeserver, user, token

    @classmethod
    def login(cls, web: Web, homeserver: str, user: str, password: str) -> Person:
        """Log in at a homeserver's URL; `user` is the whole @name:server."""
        who = {"type": "m.id.user", "user": user}
        body = {"type": "m.login.password", "identifier": who, "password": password}
        answer = web.ask("POST", f"{homeserver}/_matrix/client/v3/login", body)
        for _ in range(5):
            if answer.status != 429:
                break
            # Synapse's own limit, three at once and then one in six seconds.
            time.sleep(answer.data.get("retry_after_ms", 1000) / 1000)
            answer = web.ask("POST", f"{homeserver}/_matrix/client/v3/login", body)
        if answer.status != 200:
            raise MatrixError(f"{user} can't log in: {answer.status} {answer.text}")
        return cls(web, homeserver, answer.data["user_id"], answer.data["access_token"])

    @classmethod
    def register(cls, web: Web, homeserver: str, name: str, password: str, token: str | None = None) -> Person:
        """Make an account as clients do it, stage by stage (Matrix spec, "User-Interactive Authentication")."""
        url = f"{homeserver}/_matrix/client/v3/register"
        account = {"username": name, "password": password}
        answer = web.ask("POST", url, account)
        done: list[str] = []
        while answer.status == 401 and "session" in answer.data:
            flows = answer.data["flows"]
            stage = next(s for s in min((f["stages"] for f in flows), key=len) if s not in done)
            if stage in answer.data.get("completed", []) or "error" in answer.data:
                raise MatrixError(f"{name} can't register: {answer.text}")
            proof = {"type": stage, "session": answer.data["session"]}
            proof |= {"token": token} if stage == "m.login.registration_token" and token else {}
            answer = web.ask("POST", url, {**account, "auth": proof})
            done += answer.data.get("completed", [])
        if answer.status != 200:
            raise MatrixError(f"{name} can't register: {answer.status} {answer.text}")
        return cls(web, homeserver, answer.data["user_id"], answer.data["access_token"])

    def ask(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, Any] | None = None, timeout: float = 30
    ) -> Any:
        """The JSON that the client-server API answers; raises MatrixError for any status but 200.

        Who is told to wait a moment waits, as each client does.
        """
        url = f"{self.homeserver}/_matrix/client/v3/{path}" + (f"?{urlencode(query)}" if query else "")
        answer = self.web.ask(method, url, body, token=self.token, timeout=timeout)
        while answer.status == 429 and answer.data.get("retry_after_ms", MOMENT) < MOMENT:
            time.sleep(answer.data["retry_after_ms"] / 1000)
            answer = self.web.ask(method, url, body, token=self.token, timeout=timeout)
        if answer.status != 200:
            raise MatrixError(f"{self.user}: {method} {path}: {answer.status} {answer.text}")
        return answer.data

    def create_room(self, name: str, invite: Sequence[str] = ()) -> str:
        """A new room that others can be invited to; its id."""
        body = {"name": name, "invite": list(invite), "preset": "private_chat"}
        return str(self.ask("POST", "createRoom", body, timeout=60)["room_id"])

    def invite(self, room: str, user: str) -> None:
        self.ask("POST", f"rooms/{quote(room)}/invite", {"user_id": user}, timeout=60)

    def wait_for_invitation(self, room: str, seconds: float = 30) -> None:
        """Until somebody has invited us there."""
        end = time.monotonic() + seconds
        while room not in self.sync().get("rooms", {}).get("invite", {}):
            if time.monotonic() > end:
                raise MatrixError(f"{self.user} was not invited to {room} within {seconds:g} s")
            time.sleep(0.2)

    def join(self, room: str, via: str | None = None) -> None:
        self.ask("POST", f"join/{quote(room)}", {}, timeout=90, query={"via": via} if via else None)

    def send(self, room: str, text: str) -> str:
        """Send a message; the event's id is the homeserver's word that it has it."""
        path = f"rooms/{quote(room)}/send/m.room.message/{uuid.uuid4().hex}"
        return str(self.ask("PUT", path, {"msgtype": "m.text", "body": text})["event_id"])

    def messages(self, room: str) -> list[tuple[str, str]]:
        """The latest messages of a room, oldest first, as (sender, text)."""
        page = self.ask("GET", f"rooms/{quote(room)}/messages", query={"dir": "b", "limit": 100})
        texts = [event for event in page["chunk"] if event["type"] == "m.room.message"]
        return [(event["sender"], str(event["content"].get("body"))) for event in reversed(texts)]

    def wait_for(self, room: str, sender: str, text: str, seconds: float = 30) -> None:
        """Until a message has arrived, by /sync as any client does it."""
        end, since = time.monotonic() + seconds, ""
        while True:
            page = self.sync(since, wait=5)
            since = page["next_batch"]
            timeline = page.get("rooms", {}).get("join", {}).get(room, {}).get("timeline", {}).get("events", [])
            if any(e["sender"] == sender and e["content"].get("body") == text for e in timeline):
                return
            if time.monotonic() > end:
                raise MatrixError(f"{self.user} did not read {text!r} of {sender} within {seconds:g} s")

    def sync(self, since: str = "", wait: float = 0) -> Any:
        """What is new since a batch; without one, all there is. Waits for news so many seconds."""
        query = {"timeout": int(wait * 1000)} | ({"since": since} if since else {})
        return self.ask("GET", "sync", query=query, timeout=wait + 30)
