"""What only a Matrix homeserver has: a config that Synapse approves of, readiness, and accounts."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self
from urllib.parse import quote

from matrix_baremetal import log
from matrix_baremetal.connections import POOL
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.net import Answer
from matrix_baremetal.resources.admin_api import PASSING, PORT, AdminApi, of_user
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.filled import in_utf8
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.store import Store
from matrix_baremetal.resources.systemd import last_lines

CHECK = "/run/matrix-baremetal/check"
# Modules of ours that the config may name; the unit has it too.
MODULES = "/usr/share/matrix-baremetal/modules"
CURE = "mend synapse.settings in /etc/matrix-baremetal/config.yaml, or the files in /etc/matrix-synapse/conf.d"


@dataclass(frozen=True)
class HomeserverConfig(File):
    """homeserver.yaml, put in place only once Synapse itself has accepted it, as the user and with the
    credentials that it will run with; the running server is not touched.

    `unit` is the service whose credentials (`credentials`, as LoadCredential= writes them) the config names.
    """

    unit: str = field(default="", compare=False)
    python: str = field(default="", compare=False)
    credentials: tuple[str, ...] = field(default=(), compare=False)
    more: tuple[str, ...] = field(default=(), compare=False)

    def make(self, host: Host, found: Self | None) -> None:
        if host.live:
            self.check(host)
        super().make(host, found)

    def read_by(self, unit: str) -> str:
        """Its text for a program in another unit: credentials live in a directory named after the unit."""
        return self.content.replace(f"/run/credentials/{self.unit}/", f"/run/credentials/{unit}/")

    def check(self, host: Host) -> None:
        """Have Synapse look at it. Raises `Error` with what it says."""
        unit = f"{self.unit.removesuffix('.service')}-check.service"
        host.mkdir(CHECK, 0o750, group=self.group)
        host.write(f"{CHECK}/homeserver.yaml", self.read_by(unit), 0o640, group=self.group)
        configs = [word for path in (f"{CHECK}/homeserver.yaml", *self.more) for word in ("-c", path)]
        # That of a run that was killed goes on by itself for a moment, and there can't be two of a name.
        host.run("systemctl", "stop", unit, ok=range(256))
        result = host.run(
            *in_unit(unit, self.group, self.credentials),
            *(self.python, "-B", "-m", "synapse.config", *configs, "--no-secrets-in-config"),
            ok=range(256),
            timeout=120,
        )
        host.remove_tree(CHECK)
        if result.err.startswith("Failed to "):
            raise Error(f"systemd would not run Synapse's check: {result.last_words}", hint="systemctl status dbus")
        if result.status:
            raise Error(
                f"Synapse does not accept the new {self.path}, so the old one stays: {result.last_words}",
                hint=CURE,
            )


def in_unit(unit: str, user: str, credentials: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """What stands before a program of Synapse's that reads its config, and so modules of ours that this names.

    It runs as Synapse's user with Synapse's credentials, writes nowhere, and has these properties more.
    """
    rows = (f"User={user}", "ProtectSystem=strict", "PrivateTmp=yes", *more)
    return (
        *("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={unit}"),
        *(f"--property={row}" for row in (*rows, *(f"LoadCredential={each}" for each in credentials))),
        f"--setenv=PYTHONPATH={MODULES}",
    )


def writing(folder: str) -> tuple[str, ...]:
    """The properties of a program that writes into this folder, for its user alone."""
    return "UMask=0077", "NoNewPrivileges=yes", f"ReadWritePaths={folder}", f"WorkingDirectory={folder}"


@dataclass(frozen=True)
class Homeserver(Resource):
    """A homeserver that is ready: it has answered a request for which it must ask its database.

    `/health`, `/versions` and the unit's state all look fine while Postgres is dead. An alias that nobody has is
    looked up anew each time, and nothing limits its rate, unlike a login's. After an outage of the database each of
    Synapse's connections to it fails once before it is made anew, so it is asked as often as there may be of them.
    """

    live: ClassVar[bool] = True

    server_name: str
    unit: str = field(default="", compare=False)
    ready: bool = True

    @property
    def title(self) -> str:
        return f"until {self.server_name} answers"

    @property
    def noun(self) -> str:
        return ""

    def verb(self, found: Resource | None) -> str:
        return "wait"

    def find(self, host: Host) -> Self | None:
        return replace(self, ready=answered(self._answer(host))) if host.live else None

    def _answer(self, host: Host) -> Answer:
        """The first bad answer, or the last good one."""
        for _ in range(POOL):
            alias = quote(f"#nobody-{secrets.token_hex(8)}:{self.server_name}", safe="")
            answer = host.net.ask("GET", PORT, f"/_matrix/client/v3/directory/room/{alias}", timeout=5)
            if not answered(answer):
                break
        return answer

    def make(self, host: Host, found: Self | None) -> None:
        until = time.monotonic() + 120
        while not answered(answer := self._answer(host)):
            if time.monotonic() > until:
                lines = "\n".join(last_lines(host, self.unit, 12))
                raise Error(
                    f"the homeserver is not ready after two minutes ({answer.error}); its last lines are:\n{lines}",
                    hint=f"matrix-baremetal status; journalctl -u {self.unit}",
                )
            time.sleep(0.1)


def answered(answer: Answer) -> bool:
    """Whether Synapse looked the alias up and found nothing, as only a sound one does."""
    return answer.status == 404 and answer.data.get("errcode") == "M_NOT_FOUND"


@dataclass(frozen=True)
class Account(Resource):
    """A user of the homeserver. The password is read when the account is made, and never afterwards.

    With `invent` it is made up then, and kept in `password_file` for root to read. With `password_hash` nobody here
    ever knows it: the account is made without a password, then Synapse's table gets the hash.
    """

    live: ClassVar[bool] = True

    user: str
    admin: bool = False
    store: Store | None = field(default=None, compare=False)
    secret_file: str = field(default="", compare=False)
    password_file: str = field(default="", compare=False)
    invent: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    password_hash: str = field(default="", compare=False, repr=False)
    has_password: bool = True

    @property
    def localpart(self) -> str:
        """alice of @alice:example.org."""
        return self.user[1:].partition(":")[0]

    def find(self, host: Host) -> Self | None:
        rows = self.store.rows(host, FIND_USER, name=self.user) if self.store else []
        if not rows:
            return None
        # One without a password may log in otherwise; only where we are to set one does it matter.
        [admin, password] = rows[0]
        return replace(self, admin=admin == "1", has_password=not self.password_hash or password == "1")

    def make(self, host: Host, found: Self | None) -> None:
        if found is None and not self.password_hash:
            register(host, self.localpart, self._password(host), self.admin, self.secret_file)
            return
        assert self.store is not None, "an account without a store can be undone alone"
        with AdminApi(host, self.user.partition(":")[2], self.store) as api:
            if found is None:
                api.ask("PUT", f"/v2{of_user(self.user)}", {"admin": self.admin})
            elif self.admin and not found.admin:
                api.ask("PUT", f"/v1{of_user(self.user)}/admin", {"admin": True})
        if self.password_hash and (found is None or not found.has_password):
            self.store.rows(host, SET_HASH, {"hash": self.password_hash}, name=self.user)

    def _password(self, host: Host) -> str:
        if self.invent is not None and host.node(self.password_file) is None:
            host.mkdir(self.password_file.rpartition("/")[0], 0o700)
            host.write(self.password_file, self.invent(), 0o600)
        node = host.node(self.password_file)
        if node is not None and node.mode & 0o004:
            path = self.password_file
            log.warn(f"the mode of {path} lets every user of this machine read the password: chmod 600 {path}")
        text = host.text(self.password_file)
        if not text or not text.strip("\r\n"):
            raise Error(f"there is no password in {self.password_file}", hint=f"write one into {self.password_file}")
        return in_utf8(text.strip("\r\n"), self.password_file)


# Columns that Synapse has had since its first years. A deactivated account has no password and is to have none.
FIND_USER = """SELECT admin, CASE WHEN password_hash IS NULL AND deactivated = 0 THEN 0 ELSE 1 END
FROM users WHERE name = :name;"""
SET_HASH = """UPDATE users SET password_hash = :hash WHERE name = :name AND password_hash IS NULL;"""
LIST_USERS = f"""SELECT name, admin, deactivated, creation_ts FROM users
WHERE is_guest = 0 AND substr(name, 1, {len(PASSING)}) <> '{PASSING}' ORDER BY creation_ts, name;"""


def register(host: Host, localpart: str, password: str, admin: bool, secret_file: str) -> None:
    """Make an account by Synapse's shared secret (its docs/admin_api/register_api.md): nonce, then an HMAC over it.

    Nobody is logged in by it, or Synapse would make a token that has no end. Raises `Error` with its own sentence.
    """
    path = "/_synapse/admin/v1/register"
    secret = (host.text(secret_file) or "").strip()
    nonce = str(host.net.ask("GET", PORT, path).data.get("nonce", ""))
    parts = (nonce, localpart, password, "admin" if admin else "notadmin")
    mac = hmac.new(secret.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
    body: dict[str, Any] = {"nonce": nonce, "username": localpart, "password": password, "admin": admin, "mac": mac}
    body["inhibit_login"] = True
    answer = host.net.ask("POST", PORT, path, body, timeout=60)
    if answer.status != 200:
        raise Error(f"the homeserver made no account {localpart}: {answer.error}", hint="matrix-baremetal status")


def users(host: Host, store: Store) -> list[dict[str, Any]]:
    """All accounts that are no guests, the oldest first."""
    rows = store.rows(host, LIST_USERS)
    return [
        {"user": name, "admin": admin == "1", "deactivated": gone == "1", "created": int(made)}
        for name, admin, gone, made in rows
    ]
