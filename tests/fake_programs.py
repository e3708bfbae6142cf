"""A small model of the programs that we start: systemd, nginx, Python, pip and uv (apt: fake_apt; openssl and
certbot: fake_certificates).

Each takes the words and does to the folder what the program would, no more than we rely on.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from matrix_baremetal.errors import Error
from matrix_baremetal.net import Answer
from matrix_baremetal.shell import Result
from tests.fake_apt import FakeApt
from tests.fake_postgres import FakePostgres
from tests.fake_releases import offered
from tests.fake_shell import real
from tests.fake_units import Unit
from tests.fake_web import Internet

GOOD = Result(0, "", "")
SYSUSERS = Path(__file__).resolve().parents[1] / "debian/matrix-baremetal.sysusers"


@dataclass
class Programs(FakeApt):
    """The state behind the programs, and the programs.

    `says` is for tests: what a program says on stderr before it fails (by its name), `failures` how often it fails
    before it goes well (always, where it isn't there). `unresolved` are the names without an address, `resolved` the
    addresses of those that have others, `candidates` the versions that apt would install of packages, `spare` the
    bytes that are free, in `spares` those of other file systems, `files` how many more files there may be, `offered`
    the DNS plugins of certbot that apt knows, `pages` what web servers of others answer to a URL, `downloads` the
    files they have. `refuses` is what the homeserver says to each change of an account, `closed` whether it runs
    without registration. `failed` are other people's units that have, `unwritable` the places that our service
    can't write, `synchronised` what timedatectl says. `mail_fault` is why a mail server refuses us, and `logins` are
    those that it saw. `ourselves` is what our own command does, `more` what programs of single tests do.
    """

    root: Path
    release: int
    users: list[str] = field(default_factory=lambda: ["root"])
    units: dict[str, Unit] = field(default_factory=dict)
    postgres: FakePostgres = field(default_factory=FakePostgres)
    superuser: bool = True
    processor: str = "x86_64"
    spare: int = 100 << 30
    spares: dict[str, int] = field(default_factory=dict)
    files: int = 1_000_000
    passwords: dict[str, str] = field(default_factory=dict)
    refuses: str = ""
    closed: bool = False
    asked: int = 0
    unresolved: set[str] = field(default_factory=set)
    resolved: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pages: dict[str, Answer] = field(default_factory=dict)
    downloads: dict[str, bytes] = field(default_factory=offered)
    offered: tuple[str, ...] = ("cloudflare", "rfc2136", "route53")
    candidates: dict[str, str] = field(default_factory=dict)
    says: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    unwritable: set[str] = field(default_factory=set)
    out_of_memory: str = ""
    journal: dict[str, str] = field(default_factory=dict)
    synchronised: str = "yes"
    demands: int = 84
    mail_fault: str = ""
    logins: list[tuple[str, str]] = field(default_factory=list)
    internet: Internet = field(default_factory=Internet)
    ourselves: Callable[[tuple[str, ...]], Result] = lambda words: GOOD
    more: dict[str, Callable[[tuple[str, ...]], Result]] = field(default_factory=dict)

    def program(self, argv: tuple[str, ...], input: str | None) -> Result:
        """Run one program of the model."""
        name = argv[0].rpartition("/")[2]
        name = "python" if name == f"python{self.python}" else name
        if name in self.says and self.failures.setdefault(name, 1 << 30) > 0:
            self.failures[name] -= 1
            return Result(1, "", self.says[name])
        if name == "setpriv":
            return self._setpriv(tuple(word for word in argv if "--pdeathsig" not in word), input or "")
        programs: dict[str, Callable[[tuple[str, ...]], Result]] = {
            "systemctl": self._systemctl,
            "systemd-sysusers": self._systemd_sysusers,
            "systemd-run": self._systemd_run,
            "journalctl": self._journalctl,
            "systemd-detect-virt": lambda words: Result(1, "", ""),
            "timedatectl": lambda words: Result(0, f"{self.synchronised}\n", ""),
            **dict.fromkeys(("sync", "usermod", "chown", "chmod", "debconf-set-selections"), lambda words: GOOD),
            "update-ca-certificates": lambda words: GOOD,
            "nginx": self._nginx,
            "openssl": self.openssl,
            "certbot": self.certbot,
            "apt-get": self.apt_get,
            "apt-cache": self.apt_cache,
            "python": self._python,
            "uv-program": self._uv,
            "matrix-baremetal": self.ourselves,
            **self.more,
            **{name: partial(real, name) for name in ("cp", "gpg", "gpgconf", "zstd")},
        }
        if name not in programs:
            raise Error(f"the program {argv[0]} is not installed")
        return programs[name](argv[1:])

    def _setpriv(self, argv: tuple[str, ...], input: str) -> Result:
        user, program = argv[1].removeprefix("--reuid="), argv[4].rpartition("/")[2]
        if user not in ("postgres", *self.users):
            return Result(1, "", "setpriv: failed to parse reuid")
        if program == "python3":
            # SQLite itself, as the file is a real one.
            return real(sys.executable, argv[5:], input)
        if argv[-1].endswith("/ask-ldap"):
            asked = json.loads(input)
            self.logins.append((asked["user"] or "", asked["password"]))
            return Result(0, self.says.get("ask-ldap", '{"found": 1}'), "")
        if program == "test":
            return Result(int(argv[-1] in self.unwritable), "", "")
        if program == "pg_isready":
            return Result(0 if self.postgres_runs else 2, "", "")
        down = Result(2, "", "psql: error: connection to server on socket failed: No such file or directory")
        return self.postgres.psql(argv, input) if self.postgres_runs else down

    def piped(self, argv: tuple[str, ...]) -> tuple[str, ...]:
        """The program that runs in place of one whose output or input is a pipe: itself, as we ourselves.

        A dump of Postgres is a file beside the machine's root, and loading one notes it.
        """
        words = argv[4:] if argv[0] == "setpriv" else argv
        name = words[0].rpartition("/")[2]
        if name == "systemd-run":  # synapse_port_db, which tells how far it is
            return "printf", "Fetching tables...\\nusers: 50%% (1/2)\\nusers: 100%% (2/2)\\n"
        if name == "pg_dump":
            return "cat", str(self.root.parent / "dump")
        if name in ("pg_restore", "psql"):
            target = next(word for word in words if word.startswith("--dbname=")).removeprefix("--dbname=")
            self.postgres.bases[target].tables, self.postgres.bases[target].version = 170, True
            return "tee", str(self.root.parent / f"loaded-{target}")
        return (sys.executable, *words[1:]) if name == "python3" else words

    @property
    def python(self) -> str:
        """The version of Debian's Python."""
        return {12: "3.11", 13: "3.13"}[self.release]

    @property
    def postgres_runs(self) -> bool:
        """Whether any cluster does."""
        return any(unit.active for name, unit in self.units.items() if name.startswith("postgresql@"))

    def at(self, path: str) -> Path:
        """Where a path is, with absolute links on the way to it led below the root."""
        words = path.removeprefix(str(self.root)).strip("/").split("/")
        place = str(self.root)
        for index, word in enumerate(words[:-1]):
            place = f"{place}/{word}"
            # As text: this is asked thousands of times.
            if os.path.islink(place) and (target := os.readlink(place)).startswith("/"):
                return self.at(f"{target}/{'/'.join(words[index + 1 :])}")
        return Path(place, words[-1])

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file there, as a person or a package would."""
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def unit(self, name: str) -> Unit:
        """A unit; those of our own package are always there."""
        return self.units.setdefault(name, Unit()) if name.startswith("matrix-") else self.units.get(name, Unit())

    def _systemctl(self, words: tuple[str, ...]) -> Result:
        verb, name = words[0], words[-1]
        unit = self.unit(name)
        if verb == "list-units":
            return Result(0, "".join(f"{unit} loaded failed failed\n" for unit in self.failed), "")
        if verb == "show":
            wanted = words[1].removeprefix("--property=").split(",")
            return Result(0, "\n".join(self._show(each, self.unit(each), wanted) for each in words[2:]), "")
        if verb == "daemon-reload":
            for each in self.units.values():
                each.outdated = False
        elif verb in ("enable", "disable"):
            unit.enabled = verb == "enable"
            unit.active = unit.active and "--now" not in words
        elif verb == "stop":
            unit.active = False
        elif verb in ("start", "restart", "reload"):
            if unit.broken or name not in self.units or (verb == "reload" and not unit.active):
                return Result(1, "", f"Job for {name} failed.")
            if verb != "reload":
                unit.start()
            unit.reloads += verb == "reload" and not unit.deaf
        elif verb == "try-restart" and unit.broken:
            return Result(1, "", f"Job for {name} failed.")
        return GOOD

    def _journalctl(self, words: tuple[str, ...]) -> Result:
        wanted = words[-1]
        said = f"last words of {wanted}\n{self.journal.get(wanted, '')}"
        return Result(0, self.out_of_memory if "MESSAGE_ID" in wanted else said, "")

    def _work(self, unit: Unit) -> None:
        """Write the processes below a unit's main one, as the kernel would: a new one for each reload taken up."""
        place = self.root / f"proc/{unit.process}/task/{unit.process}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "children").write_text(f"{unit.process + 1 + unit.reloads} ")

    def _show(self, name: str, unit: Unit, wanted: list[str]) -> str:
        if "MainPID" in wanted and unit.active:
            self._work(unit)
        rows = unit.shown(name, there=name in self.units)
        return "".join(f"{key}={rows[key]}\n" for key in wanted)

    def _systemd_sysusers(self, words: tuple[str, ...]) -> Result:
        assert words == ("/usr/lib/sysusers.d/matrix-baremetal.conf",)
        names = [line.split()[1] for line in SYSUSERS.read_text().splitlines()]
        self.users += [name for name in names if name not in self.users]
        return GOOD

    def _systemd_run(self, words: tuple[str, ...]) -> Result:
        if "-c" not in words:
            return GOOD
        # Synapse's check of its config.
        config = self.at(words[words.index("-c") + 1]).read_text()
        return GOOD if "server_name: " in config else Result(1, "", "Missing mandatory `server_name`")

    def _nginx(self, words: tuple[str, ...]) -> Result:
        # Every brace closed, and every certificate there.
        enabled = self.at("/etc/nginx/sites-enabled").glob("[!.]*")
        places = sorted((*self.at("/etc/nginx").rglob("*.conf"), *enabled))
        for place in places:
            text = place.read_text()
            missing = [p for p in re.findall(r"ssl_certificate(?:_key)? (\S+);", text) if not self.at(p).exists()]
            if text.count("{") != text.count("}") or missing:
                return Result(1, "", f'nginx: [emerg] unexpected "}}" or no {missing} in {place.name}')
        pages = [f"# configuration file /{p.relative_to(self.root)}:\n{p.read_text()}\n" for p in places]
        return Result(0, "".join(pages) if "-T" in words else "", "")

    def _python(self, words: tuple[str, ...]) -> Result:
        # compileall, Synapse's own word, venv, pip download (of uv), pip install (into this virtualenv).
        if words[:3] == ("-I", "-m", "compileall"):
            return Result(1, self.says["compileall"], "") if "compileall" in self.says else GOOD
        if words[-1].startswith("from synapse.storage.schema"):
            return Result(0, f"{self.demands if 'COMPAT' in words[-1] else 94}\n", "")
        if words[:3] == ("-I", "-m", "venv"):
            self._virtualenv(words[-1])
        elif "download" in words:
            place = self.at(words[words.index("-d") + 1]) / "uv-0-py3-none-any.whl"
            with zipfile.ZipFile(place, "w") as wheel:
                wheel.writestr("uv-0.data/scripts/uv", "the program uv")
        elif "install" in words:
            self._filled(words[words.index("-r") + 1].rpartition("/")[0])
        return GOOD

    def _uv(self, words: tuple[str, ...]) -> Result:
        cache = self.at(words[words.index("--cache-dir") + 1])
        cache.mkdir(exist_ok=True)
        (cache / "a-wheel").touch()
        if words[0] == "venv":
            self._virtualenv(words[-1])
        elif "uv pip" in self.says:
            return Result(1, "", self.says["uv pip"])
        else:
            self._filled(words[words.index("-r") + 1].rpartition("/")[0])
        return GOOD

    def _virtualenv(self, place: str) -> None:
        (self.at(place) / "bin").mkdir(parents=True)
        (self.at(place) / "bin/python").symlink_to(f"/usr/bin/python{self.python}")

    def _filled(self, place: str) -> None:
        script = self.at(place) / "bin/synapse_homeserver"
        script.write_text(f"#!{self.at(place)}/bin/python\nimport synapse\n")
        script.chmod(0o755)
