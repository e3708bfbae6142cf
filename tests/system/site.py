"""A Matrix server of ours in a guest, as the tests handle it. What must hold of it is in `invariants`."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.lab import Guest, Lab
from tests.lab.guest import Completed
from tests.matrix import Answer, Person, Web

WHEELS = "/srv/wheels"
KEPT = "/root/before.json"
CONFIG = "/etc/matrix-baremetal/config.yaml"
SECRETS = "/etc/matrix-baremetal/secrets"
DISPLACED = "/var/lib/matrix-baremetal/displaced"
HOMESERVER = "/etc/matrix-synapse/homeserver.yaml"
NGINX = "/etc/nginx/sites-enabled/zz-matrix-baremetal"
SYNAPSE = "matrix-synapse.service"
# Our own guests' addresses are private; a server refuses to talk to those unless told otherwise.
SETTINGS = {"ip_range_whitelist": ["10.77.0.0/24", "fd77::/64"], "trusted_key_servers": []}
MESSAGE = "the message from before"
STATUSES = (0, 1, 2, 3, 130, 143)


class Site:
    """One guest with our package, installed or not yet. alice is its administrator, bob a user."""

    def __init__(self, lab: Lab, guest: Guest) -> None:
        self.lab, self.guest, self.web = lab, guest, Web(lab)
        self.server_name = guest.domain
        self.hostname = f"matrix.{guest.domain}"
        self.url = f"https://{self.hostname}"
        # The release of Postgres that Debian brings.
        self.major = {12: 15, 13: 17}[guest.debian]

    @property
    def cluster(self) -> str:
        """The unit of Debian's own Postgres cluster."""
        return f"postgresql@{self.major}-main.service"

    def mb(self, *words: str, status: int | Sequence[int] | None = 0, input: str | None = None) -> Completed:
        """Run matrix-baremetal. Whatever happens, it ends with a status of the contract and without a traceback."""
        done = self.guest.run(["matrix-baremetal", *words], check=False, input=input)
        return self.judged(done, words, status)

    def judged(self, done: Completed, words: Sequence[str], status: int | Sequence[int] | None) -> Completed:
        said = f"matrix-baremetal {' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, said
        expected = STATUSES if status is None else (status,) if isinstance(status, int) else status
        assert done.returncode in expected, said
        if done.returncode not in (0, 3):
            assert re.search(r"^next: |^stopped", done.stderr, re.MULTILINE), f"no next step is given: {said}"
        return done

    def install(self, *words: str, status: int | Sequence[int] = 0, wheels: bool = True) -> Completed:
        """`install` as cloud-init would run it."""
        offline = ["--wheelhouse", WHEELS] if wheels else []
        return self.mb("install", "--unattended", "--admin", "alice", *offline, *words, status=status)

    def configure(self, **more: Any) -> None:
        """Write a config by `init`, with the lab's settings and these keys beside."""
        self.guest.quick("rm", "-f", CONFIG)
        # A relay in each install of the lab would take minutes in all, and the makers of the two pages are not in
        # this internet: what looks at one says so, and test_apt_door.
        words = ("--without", "web_client,admin_ui,turn", "--email", f"admin@{self.server_name}", "--yes")
        self.mb("init", "--server-name", self.server_name, *words)
        self.edit(self.guest.read(CONFIG), **more)

    def edit(self, base: str, settings: dict[str, Any] | None = None, **more: Any) -> None:
        """The config with these settings of Synapse and these keys; JSON is YAML too."""
        rows = {"synapse": {"settings": {**SETTINGS, **(settings or {})}}, **more}
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in rows.items())
        self.guest.write(CONFIG, base.partition("# -- tests\n")[0] + "# -- tests\n" + text)

    def change(self, settings: dict[str, Any] | None = None, **more: Any) -> None:
        """Edit the config that is there."""
        self.edit(self.guest.read(CONFIG), settings, **more)

    def plan(self) -> list[dict[str, Any]]:
        """What plan would change; its exit status has to say the same."""
        done = self.mb("plan", "--json", status=(0, 3))
        changes: list[dict[str, Any]] = json.loads(done.stdout)["changes"]
        assert (done.returncode == 3) == bool(changes)
        return changes

    def planned(self) -> set[str]:
        return {change["title"] for change in self.plan()}

    def status(self) -> Any:
        done = self.mb("status", "--json", status=(0, 3))
        page = json.loads(done.stdout)
        assert (done.returncode == 3) == bool(page["faults"]), page
        return page

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit, as systemd has them."""
        shown = self.guest.quick("systemctl", "show", f"--property={','.join(names)}", unit).decode()
        return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)

    def runs(self) -> dict[str, str]:
        """What tells one start of a unit from the next, and for nginx also one reload from the next."""
        units = (SYNAPSE, self.cluster, "nginx.service", "matrix-baremetal-certificates.timer", "certbot.timer")
        found = {unit: self.show(unit, "InvocationID")["InvocationID"] for unit in units}
        found["nginx workers"] = self.guest.run("pgrep -P $(cat /run/nginx.pid) | sort | tr '\\n' ' '").stdout
        return found

    def sql(self, statement: str) -> str:
        """What Synapse's own tables say."""
        psql = ["runuser", "-u", "postgres", "--", "psql", "-XAtqd", "matrix-synapse"]
        return self.guest.run(psql, input=statement).stdout.strip()

    def password(self, name: str) -> str:
        return self.guest.read(f"{SECRETS}/passwords/{name}").strip()

    def login(self, name: str, password: str | None = None) -> Person:
        user = f"@{name}:{self.server_name}"
        return Person.login(self.web, self.url, user, password or self.password(name))

    def get(self, path: str, host: str | None = None, options: Sequence[str] = ()) -> Answer:
        """What somebody outside gets for a path, by the homeserver's name unless said otherwise."""
        return self.web.ask("GET", f"https://{host or self.hostname}{path}", options=options)

    def answers(self) -> bool:
        """Whether the homeserver answers somebody outside."""
        return self.get("/_matrix/client/versions").status == 200

    def wait_until_it_answers(self, seconds: float = 60) -> None:
        """After a boot."""
        end = time.monotonic() + seconds
        while not (self.web.works(f"{self.url}/_matrix/client/versions") and self.answers()):
            assert time.monotonic() < end, self.guest.run(f"journalctl -b -n 30 -u {SYNAPSE}").stdout
            time.sleep(0.3)

    def serial(self, name: str) -> str:
        """The serial number of the certificate that a name is served with, whoever made it."""
        command = f"openssl s_client -connect {name}:443 -servername {name} </dev/null 2>/dev/null"
        return self.lab.client(["sh", "-c", f"{command} | openssl x509 -noout -serial"]).stdout.strip()

    def signing_key(self) -> str:
        return hashlib.sha256(self.guest.quick("cat", "/var/lib/matrix-synapse/signing.key")).hexdigest()

    def remember(self) -> None:
        """Let there be a user and a message from before, and note what has to stay as it is."""
        self.mb("user", "add", "bob", "--generate")
        alice, bob = self.login("alice"), self.login("bob")
        room = alice.create_room("Before", invite=[bob.user])
        bob.join(room)
        alice.send(room, MESSAGE)
        self.guest.write(KEPT, json.dumps({"room": room, "signing_key": self.signing_key()}), 0o600)

    @property
    def before(self) -> dict[str, str] | None:
        """What `remember` noted."""
        text = self.guest.quick("cat", KEPT, check=False)
        return dict(json.loads(text)) if text else None


def built(place: Path) -> Path:
    """The package of this tree, in a place of its own: others may build beside us."""
    top = Path(__file__).parents[2]
    command = ["env", "DEB_BUILD_OPTIONS=nocheck", str(top / "bin/build"), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.split()[-1])
