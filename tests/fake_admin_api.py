"""Synapse's admin API, as far as we ask it, for whoever has a token that its table holds."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from matrix_baremetal.net import Answer
from tests.fake_postgres import HASHED
from tests.fake_programs import Programs

NOT_FOUND = Answer(404, {"errcode": "M_NOT_FOUND", "error": "not found"})


class FakeAdminApi:
    """The accounts and tokens of a machine, changed as Synapse would; `machine.refuses` is an answer to every PUT."""

    def __init__(self, machine: Programs) -> None:
        self.machine = machine
        self.tables = machine.postgres

    def answer(self, method: str, path: str, body: dict[str, Any] | None, token: str | None) -> Answer:
        """Answer a request below /_synapse/admin, or a logout."""
        user, until = self.tables.access.get(str(token), ("", 0))
        if user not in self.tables.passing or until < time.time() * 1000:
            return Answer(401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."})
        if path == "/_matrix/client/v3/logout":
            del self.tables.access[str(token)]
            self.tables.forgotten.add(str(token))
            return Answer(200, {})
        words = [unquote(word) for word in urlsplit(path).path.removeprefix("/_synapse/admin/").split("/")]
        if words[1] == "registration_tokens":
            return self._token(method, words[2:], body or {})
        if words[1:] == ["background_updates", "start_job"]:
            assert body == {"job_name": "regenerate_directory"}
            return Answer(200, {})
        if words[1] == "threepid":
            owners = [user for user, about in self.tables.about.items() if words[-1] in emails(about)]
            return Answer(200, {"user_id": owners[0]}) if owners else NOT_FOUND
        user = words[2]
        if words[1] == "deactivate":
            assert body is not None
            return self._deactivate(user, bool(body["erase"]))
        return self._user(method, user, words[3:], body or {}, parse_qs(urlsplit(path).query))

    def _user(
        self, method: str, user: str, rest: list[str], body: dict[str, Any], query: dict[str, list[str]]
    ) -> Answer:
        if method == "PUT" and self.machine.refuses:
            return Answer(500, {"error": self.machine.refuses})
        if method == "PUT" and not rest:
            return self._put(user, body)
        if user not in self.tables.accounts:
            return NOT_FOUND
        about = self.tables.about.setdefault(user, {})
        if method == "PUT":
            assert rest == ["admin"]
            self.tables.accounts[user] = body["admin"]
            return Answer(200, {})
        if rest == ["devices"]:
            return Answer(200, {"devices": about.get("devices", []), "total": len(about.get("devices", []))})
        if rest == ["joined_rooms"]:
            return Answer(200, {"joined_rooms": [], "total": 2})
        if rest == ["media"]:
            start = int(query["from"][0])
            page: dict[str, Any] = {"media": [{"media_length": 1 << 20}], "total": 2}
            return Answer(200, page if start else {**page, "next_token": 1})
        return Answer(200, {"name": user, "erased": user in self.tables.erased, **about})

    def _put(self, user: str, body: dict[str, Any]) -> Answer:
        new = user not in self.tables.accounts
        about = self.tables.about.setdefault(user, {})
        if new or "admin" in body:
            self.tables.accounts[user] = bool(body.get("admin"))
        about |= {key: body[key] for key in ("displayname", "threepids") if key in body}
        if "password" in body:
            self.machine.passwords[user[1:].partition(":")[0]] = body["password"]
            self.tables.hashes[user] = HASHED
            if body.get("logout_devices", True):
                about["devices"] = []
        return Answer(201 if new else 200, {})

    def _deactivate(self, user: str, erase: bool) -> Answer:
        self.tables.deactivated.add(user)
        self.tables.hashes.pop(user, None)
        self.machine.passwords.pop(user[1:].partition(":")[0], None)
        if erase:
            self.tables.erased.add(user)
        return Answer(200, {})

    def _token(self, method: str, rest: list[str], body: dict[str, Any]) -> Answer:
        known = self.tables.registration_tokens
        if method == "GET":
            return Answer(200, {"registration_tokens": list(known.values())})
        if method == "DELETE":
            return Answer(200, {}) if known.pop(rest[0], None) else NOT_FOUND
        assert (method, rest) == ("POST", ["new"])
        known[body["token"]] = {"pending": 0, "completed": 0, **body}
        return Answer(200, known[body["token"]])


def emails(about: dict[str, Any]) -> list[str]:
    """The addresses of an account, as Synapse keeps them."""
    return [one["address"].lower() for one in about.get("threepids", [])]
