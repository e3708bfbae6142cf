"""A Synapse as its usual image has it, without Docker: the same folder with the same owner, seen as /data.

The program is the real one, in a virtualenv of its own; homeserver.yaml is what it writes by itself, as the image's
`generate` does, with what the usual tutorials add.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from tests.matrix import Person
from tests.system.site import WHEELS, Site

FOLDER = "/srv/synapse"
PROGRAM = "/opt/old-synapse"
UNIT = "old-synapse"
OWNER = 991
SQLITE = "database: {name: sqlite3, args: {database: /data/homeserver.db}}\n"
POSTGRES = """\
database:
  name: psycopg2
  allow_unsafe_locale: true
  args: {user: synapse, password: secret, dbname: synapse, host: 127.0.0.1, port: 5433, cp_min: 5, cp_max: 10}
"""
TUTORIAL = """\
public_baseurl: https://matrix.{name}/
enable_registration: true
enable_registration_without_verification: true
max_upload_size: 77M
trusted_key_servers: []
turn_shared_secret: a-secret-of-turn
ip_range_whitelist: ["10.77.0.0/24", "fd77::/64"]
app_service_config_files: [/data/whatsapp-registration.yaml]
listeners: [{{port: 8008, type: http, x_forwarded: true, resources: [{{names: [client, federation]}}]}}]
"""
PICTURE = "a picture, as far as anybody cares"


class Docker:
    """The old server: alice and bob are logged in, have talked, and alice has put a picture there."""

    def __init__(self, site: Site) -> None:
        self.site, self.guest = site, site.guest
        self.name, self.url = site.server_name, f"http://{site.server_name}:8008"

    @property
    def key_file(self) -> str:
        """Its signing key."""
        return f"{FOLDER}/{self.name}.signing.key"

    def make(self, database: str = SQLITE) -> None:
        """Generate it, and let people use it."""
        self.program(PROGRAM)
        self.guest.run(f"install -d -o {OWNER} -g {OWNER} {FOLDER}")
        words = f"--server-name {self.name} --config-path /data/homeserver.yaml --config-directory /data"
        self.python(f"synapse.app.homeserver {words} --data-directory /data --generate-config --report-stats no")
        # The last of two equal keys counts for Synapse, and people do append.
        text = self.guest.read(f"{FOLDER}/homeserver.yaml") + "\n" + database + TUTORIAL.format(name=self.name)
        self.guest.write(f"{FOLDER}/homeserver.yaml", text)
        self.guest.write(f"{FOLDER}/whatsapp-registration.yaml", registration())
        self.start()
        self.use()

    def program(self, place: str) -> None:
        """Synapse in a virtualenv, unless it is there."""
        self.guest.run(
            f"test -e {place} || python3 -m venv {place} && {place}/bin/pip install -q --no-index "
            f"--find-links {WHEELS} matrix-synapse psycopg2-binary",
            timeout=300,
        )

    def postgres(self) -> str:
        """The other container, with a Postgres whose locale is not C, as few are; its cluster."""
        cluster = f"{self.site.major} docker"
        self.guest.run(
            f"pg_createcluster {cluster} -p 5433 --locale=C.UTF-8 --start-conf=manual && "
            f"systemctl start postgresql@{cluster.replace(' ', '-')}"
        )
        sql = "CREATE ROLE synapse LOGIN PASSWORD 'secret'; CREATE DATABASE synapse OWNER synapse;"
        self.guest.run(
            ["runuser", "-u", "postgres", "--", "psql", "-Xq", "-p", "5433"], input=sql.replace("; ", ";\n")
        )
        return cluster

    def dumped(self, words: str, file: str) -> None:
        """docker exec … pg_dump, or pg_dumpall."""
        self.guest.run(f"PGPORT=5433 runuser -u postgres -- {words} > {file}")

    def python(self, words: str, options: str = "--wait --pipe --collect") -> None:
        """Run a module of the old Synapse as the container would."""
        who = f"setpriv --reuid={OWNER} --regid={OWNER} --clear-groups"
        shown = f"systemd-run -q {options} -p BindPaths={FOLDER}:/data --working-directory=/data"
        self.guest.run(f"{shown} {who} {PROGRAM}/bin/python -m {words}", timeout=120)

    def start(self) -> None:
        """Let the container run, started again where it ends: the usual recipe says `restart: unless-stopped`."""
        words = "synapse.app.homeserver --config-path /data/homeserver.yaml"
        self.python(words, f"--unit {UNIT} -p Restart=on-failure -p RestartSec=1")
        end = time.monotonic() + 90
        while not self.site.web.works(f"{self.url}/_matrix/client/versions"):
            told = f"journalctl -b -n 40 -u {UNIT}; tail -n 40 {FOLDER}/homeserver.log"
            assert time.monotonic() < end, self.guest.run(told).stdout
            time.sleep(0.3)

    def stop(self) -> None:
        """docker stop."""
        self.guest.run(f"systemctl stop {UNIT}")

    def use(self) -> None:
        """What has to be there afterwards."""
        web = self.site.web
        self.alice = Person.register(web, self.url, "alice", "alice-has-a-long-password")
        self.bob = Person.register(web, self.url, "bob", "bob-has-a-long-password")
        self.room = self.alice.create_room("Old", invite=[self.bob.user])
        self.bob.join(self.room)
        self.alice.send(self.room, "the message from before")
        address = f"{self.url}/_matrix/media/v3/upload?filename=a.png"
        answer = web.ask("POST", address, {"picture": PICTURE}, token=self.alice.token)
        assert answer.status == 200, answer.text
        self.picture = str(answer.data["content_uri"]).removeprefix("mxc://")
        self.key = self.guest.read(self.key_file)

    def tree(self, folder: str = FOLDER) -> str:
        """All of a folder: names, owners, modes, times and bytes."""
        shown = f"cd {folder} && find . -printf '%p %y %m %U %G %s %T@\\n' | sort && find . -type f -print0 | sort -z"
        return self.guest.run(f"{shown} | xargs -0 sha256sum").stdout

    def still_there(self) -> None:
        """Who was logged in is, by the same token and through nginx; what they said and uploaded is there."""
        site = self.site
        site.wait_until_it_answers()
        for person in (self.alice, self.bob):
            person.homeserver = site.url
        assert (self.alice.user, "the message from before") in self.bob.messages(self.room)
        self.alice.send(self.room, "from the new one")
        self.bob.wait_for(self.room, self.alice.user, "from the new one")
        path = f"{site.url}/_matrix/client/v1/media/download/{self.picture}"
        assert site.web.ask("GET", path, token=self.bob.token).data == {"picture": PICTURE}
        keys: Any = site.get("/_matrix/key/v2/server").data
        assert list(keys["verify_keys"]) == [":".join(self.key.split()[:2])]
        Person.login(site.web, site.url, self.bob.user, "bob-has-a-long-password")


def registration() -> str:
    """A bridge's registration."""
    tokens = f"as_token: {secrets.token_hex(8)}\nhs_token: {secrets.token_hex(8)}\n"
    names = "namespaces: {users: [{exclusive: true, regex: '@wa_.*'}]}\n"
    return f"id: whatsapp\nurl: http://127.0.0.1:29318\nsender_localpart: wabot\n{tokens}{names}"


def since(moment: float) -> str:
    """Seconds since then, for a report."""
    return f"{time.monotonic() - moment:.0f} s"
