"""A homeserver that answers what we ask of Synapse, and a DNS."""

from __future__ import annotations

import hashlib
import hmac
import json
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from matrix_baremetal.errors import Unreached
from matrix_baremetal.kernel import Listener
from matrix_baremetal.nameservers import Lookup
from matrix_baremetal.net import Answer, Net
from matrix_baremetal.relay import Answered, Asked
from matrix_baremetal.smtp import MailServer
from matrix_baremetal.web import Request, Response
from tests import fake_turn
from tests.fake_admin_api import FakeAdminApi
from tests.fake_postgres import HASHED
from tests.fake_programs import Programs
from tests.fake_rooms import PATHS, FakeRooms

# What a sound Synapse says to doctor on its own port.
SOUND = {
    ("GET", "/_synapse/admin/v1/server_version"): Answer(200, {"server_version": "1.163.2"}),
    ("GET", "/_matrix/client/versions"): Answer(
        200, {"unstable_features": {"org.matrix.simplified_msc3575": True}, "versions": ["v1.12"]}
    ),
    ("GET", "/_matrix/client/v3/login"): Answer(200, {"flows": [{"type": "m.login.password"}]}),
    ("POST", "/_matrix/client/v3/register"): Answer(403, {"errcode": "M_FORBIDDEN", "error": "disabled"}),
}


class FakeNet(Net):
    """Synapse, as far as we ask it, and a DNS where each name has an address but those in `machine.unresolved`."""

    def __init__(self, machine: Programs) -> None:
        self.machine = machine

    def ask(
        self,
        method: str,
        port: int,
        path: str,
        body: dict[str, Any] | None = None,
        token: str | None = None,
        timeout: float = 20,
    ) -> Answer:
        """Answer as the homeserver would."""
        machine, unit = self.machine, self.machine.unit("matrix-synapse.service")
        # A new process is not ready when it is first asked.
        fresh, machine.asked = machine.asked != unit.invocation, unit.invocation
        if port != 8008 or fresh or not unit.active:
            return Answer(0, {})
        if path.startswith("/_matrix/client/v3/directory/room/"):
            if not machine.postgres_runs or machine.internet.unready:
                return Answer(500, {"errcode": "M_UNKNOWN", "error": "Internal server error"})
            return Answer(404, {"errcode": "M_NOT_FOUND", "error": "Room alias not found"})
        if path.startswith("/_matrix/client/v1/register/m.login.registration_token/validity"):
            return Answer(403 if machine.closed else 200, {"valid": False})
        if path.startswith("/_matrix/client/v1/appservice/"):
            return self._ping(path.split("/")[5], token)
        if (method, path) in SOUND:
            return machine.internet.synapse.get(path, SOUND[method, path])
        if path.startswith(PATHS) or token in machine.postgres.lasting:
            return FakeRooms(machine.postgres).answer(method, path, body or {}, str(token))
        if path != "/_synapse/admin/v1/register":
            return FakeAdminApi(machine).answer(method, path, body, token)
        if method == "GET":
            return Answer(200, {"nonce": "once"})
        assert body is not None
        return self._register(body)

    def _ping(self, name: str, token: str | None) -> Answer:
        """Synapse asks a bridge that it knows by its token, where that runs."""
        machine = self.machine
        bridge = "irc" if name == "heisenbridge" else name.removesuffix("bot")
        registration = json.loads(machine.at(f"/etc/matrix-baremetal/bridges/{bridge}.yaml").read_text())
        if (name, token) != (registration["id"], registration["as_token"]):
            return Answer(403, {"errcode": "M_FORBIDDEN", "error": "Appservice doesn't exist"})
        if not machine.unit(f"matrix-bridge-{bridge}.service").active:
            return Answer(502, {"errcode": "M_CONNECTION_FAILED", "error": "Connection refused"})
        return machine.internet.synapse.get("ping", Answer(200, {"duration_ms": 3}))

    def _register(self, body: dict[str, Any]) -> Answer:
        secret = self.machine.at("/etc/matrix-baremetal/secrets/registration_shared_secret").read_text()
        words = (body["nonce"], body["username"], body["password"], "admin" if body["admin"] else "notadmin")
        mac = hmac.new(secret.encode(), "\0".join(words).encode(), hashlib.sha1).hexdigest()
        if body["nonce"] != "once" or not hmac.compare_digest(mac, body["mac"]):
            return Answer(403, {"error": "HMAC incorrect"})
        if body["username"] in self.machine.passwords:
            return Answer(400, {"error": "User ID already taken."})
        assert body["inhibit_login"], "a token without an end"
        self.machine.passwords[body["username"]] = body["password"]
        user = f"@{body['username']}:example.org"
        self.machine.postgres.accounts[user] = bool(body["admin"])
        self.machine.postgres.hashes[user] = HASHED
        return Answer(200, {})

    def get(self, url: str, timeout: float = 10) -> Answer:
        """Answer as the web servers of others do, which have the pages that `machine.pages` says."""
        return self.machine.pages.get(url, Answer(0, {}))

    def fetch(self, url: str, place: Path, most: int) -> None:
        """Give the file that `machine.downloads` has for an address."""
        if url not in self.machine.downloads:
            raise Unreached(f"{url} can't be had: no such host", passes=True)
        place.write_bytes(self.machine.downloads[url])

    def addresses(self, name: str) -> tuple[str, ...]:
        """What a name resolves to."""
        return () if name in self.machine.unresolved else self.machine.resolved.get(name, ("198.18.0.1",))

    def smtp(self, asked: MailServer, mail: EmailMessage | None = None) -> str:
        """Why the mail server refuses us; else it has what it was given."""
        machine = self.machine
        machine.logins.append((asked.user, asked.password))
        machine.internet.mails += [mail] if mail is not None and not machine.mail_fault else []
        return machine.mail_fault

    def request(self, asked: Request) -> Response:
        """What a web server answers."""
        return self.machine.internet.request(self.machine, asked)

    def lookup(self, name: str, kind: str) -> Lookup:
        """The records of a name."""
        return self.machine.internet.lookup(name, kind)

    def router(self, gateway: str) -> str:
        """What the router says of itself."""
        return self.machine.internet.router

    def relay(self, asked: Asked) -> Answered:
        """What a TURN server answers."""
        machine = self.machine
        change = machine.internet.relayed
        seen = fake_turn.relay(machine, asked)
        return change(asked, seen) if change else seen

    def listeners(self) -> tuple[Listener, ...]:
        """Who listens."""
        return self.machine.internet.listeners(self.machine)
