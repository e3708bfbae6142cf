"""An existing Synapse is taken over: what a restore does, from a folder that is only read."""

from __future__ import annotations

import copy
import shutil
import sqlite3
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import config, migrate, migrate_page, preflight, restore, session, source
from matrix_baremetal.commands import migrate as command
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.migrate import Taken
from matrix_baremetal.source import Source
from matrix_baremetal.takeover import taken_over
from tests.backups import CONFIG, KEY, MEDIA, QUIET, rows
from tests.fakes import FakeHost, Killed, Machine

FOLDER = "/srv/synapse"
ETC = "/etc/matrix-synapse"
WANTS = "/etc/systemd/system/multi-user.target.wants/matrix-synapse.service"
SEED = "ed25519 a_old AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
YAML = """\
server_name: example.org
signing_key_path: /data/example.org.signing.key
media_store_path: /data/media_store
macaroon_secret_key: a secret
max_upload_size: 80M
turn_shared_secret: of turn
"""
SQLITE = "database: {name: sqlite3, args: {database: /data/homeserver.db}}\n"
POSTGRES = "database: {name: psycopg2, args: {user: synapse, password: x, dbname: synapse}}\n"
DUMP = (
    "".join(f"CREATE TABLE public.t{number} (\n    a text\n);\n" for number in range(170))
    + "COPY public.schema_version (lock, version) FROM stdin;\nX\t93\n\\.\n"
    + "COPY public.users (name) FROM stdin;\n@alice:example.org\n\\.\n-- PostgreSQL database dump complete\n"
)
COMPAT = "COPY public.schema_compat_version (compat_version) FROM stdin;\n99\n\\.\n"


def a_source(folder: Path, text: str = SQLITE) -> Machine:
    """A fresh machine with the folder of a container that was stopped."""
    folder.mkdir(exist_ok=True)
    machine = Machine(folder / "machine")
    machine.users.append("matrix-synapse")
    machine.put(f"{FOLDER}/homeserver.yaml", YAML + text)
    machine.put(f"{FOLDER}/example.org.signing.key", SEED)
    machine.put(f"{FOLDER}/media_store/local_content/aa/bb/cc", "a picture")
    machine.put(f"{FOLDER}/media_store/remote_content/dd", "somebody else's")
    if text == SQLITE:
        rows(machine.at(f"{FOLDER}/homeserver.db"))
    else:
        machine.put("/root/synapse.sql", DUMP)
    return machine


def taken(host: FakeHost, found: Source | None = None) -> Taken:
    """What the command reads."""
    found = found or source.docker(host, FOLDER)
    dumped = "/root/synapse.sql" if found.driver == "psycopg2" else None
    read = migrate.looked(host, found, dumped, QUIET)
    wished = taken_over(found.settings, read.kind, None)
    text = wished.text(None)
    wanted = migrate.decoded(host, text)
    return migrate.held(host, found, read, wished, "" if host.node(CONFIG) else text, wanted)


def stops(host: FakeHost) -> list[Obstacle]:
    """What the command is stopped by."""
    found = taken(host)
    now = session.of(host, found.config)
    return [*migrate.obstacles(host, now, found), *restore.obstacles(now, found)]


def take_over(host: FakeHost, *, debian: bool = False) -> list[str]:
    """What the command does, without the network's part of preflight."""
    found = taken(host, of_debian(host) if debian else None)
    now = session.of(host, found.config)
    assert [*migrate.obstacles(host, now, found), *restore.obstacles(now, found)] == []
    if debian:
        migrate.set_aside(host, ETC)
        migrate.make_ready(host)
    kept = restore.begun(host, found)
    list(restore.foundation(now))
    restore.bring(session.of(host, found.config), found, kept, QUIET)
    now = session.of(host, config.load(host.path(CONFIG)))
    preflight.refuse([*preflight.lasting(now.site, now.needs, host, now.manifest), *preflight.another(host)])
    list(converge(now.resources, host, now.manifest))
    left = restore.end(now, kept)
    if debian:
        migrate.kept(host)
    migrate.forget(host)
    return left


def of_debian(host: FakeHost) -> Source:
    return source.debian(host, ETC, migrate.ASIDE if host.node(migrate.ASIDE) else ETC)


def a_debian(folder: Path) -> Machine:
    """What Debian's package leaves behind when it goes."""
    folder.mkdir()
    machine = Machine(folder / "machine")
    machine.users.append("matrix-synapse")
    text = YAML.replace("/data/media_store", MEDIA).replace("/data/example.org", f"{ETC}/homeserver")
    database = SQLITE.replace("/data", "/var/lib/matrix-synapse")
    listeners = "database:\n  name: psycopg2\nlisteners:\n  - bind_addresses: []\n    port: 8008\n"
    machine.put(f"{ETC}/homeserver.yaml", text.replace("server_name: example.org\n", "") + listeners)
    machine.put(f"{ETC}/conf.d/server_name.yaml", "server_name: example.org\n")
    machine.put(f"{ETC}/conf.d/own.yaml", database)
    machine.put(f"{ETC}/homeserver.signing.key", SEED)
    machine.put(f"{MEDIA}/local_content/aa/bb/cc", "a picture")
    machine.at("/etc/systemd/system").mkdir(parents=True, exist_ok=True)
    machine.at("/etc/systemd/system/matrix-synapse.service").symlink_to("/dev/null")
    machine.at(WANTS).parent.mkdir()
    machine.at(WANTS).symlink_to("/lib/systemd/system/matrix-synapse.service")
    rows(machine.at("/var/lib/matrix-synapse/homeserver.db"))
    return machine


@pytest.mark.parametrize(
    ("action", "make"),
    [
        ("from-docker", "docker exec CONTAINER pg_dump -U synapse -Fc matrix > "),
        ("from-debian", "sudo -u postgres pg_dump -Fc matrix > "),
    ],
)
def test_a_dump_that_is_not_named_is_asked_for_with_the_command_that_makes_it(
    action: str, make: str, tmp_path: Path
) -> None:
    settings = {"database": {"name": "psycopg2", "args": {"user": "synapse", "dbname": "matrix"}}}
    args = Namespace(action=action, folder=ETC, dump=None, postgres_data=None)
    with pytest.raises(Error) as stopped:
        command.dump_of(FakeHost(Machine(tmp_path)), Source(ETC, "", settings), args, QUIET)
    assert stopped.value.hint
    assert stopped.value.hint.startswith(make)


def test_debians_package_is_taken_over_killed_at_any_operation(tmp_path: Path) -> None:
    machine, count = a_debian(tmp_path / "old"), 0
    for number in range(3, 400, 29):
        place = tmp_path / f"run-{number}/machine"
        shutil.copytree(machine.root, place, symlinks=True)
        again = Machine.__new__(Machine)
        again.__dict__.update({**machine.__dict__, "root": place, "owners": dict(machine.owners)})
        again.postgres, again.units = copy.deepcopy(machine.postgres), copy.deepcopy(machine.units)
        again.users = [*machine.users]
        try:
            take_over(FakeHost(again, killed_at=number), debian=True)
            break
        except Killed:
            count += 1
        host = FakeHost(again)
        if host.node(migrate.ASIDE) or not (host.read(f"{ETC}/homeserver.yaml") or b"").startswith(b"# Written"):
            take_over(host, debian=True)
        assert host.text(KEY) == SEED
        assert host.text(f"{MEDIA}/local_content/aa/bb/cc") == "a picture"
        assert host.node("/var/lib/matrix-synapse/homeserver.db")
        assert host.names(f"{ETC}/conf.d") == ("turn_shared_secret",)
        assert host.target("/etc/systemd/system/matrix-synapse.service") is None
        assert host.target(WANTS) is None
        [aside] = [p for p in again.at("/var/lib/matrix-baremetal/displaced").iterdir() if p.name.endswith("-debian")]
        assert (aside / "homeserver.signing.key").read_text() == SEED
    assert count > 3


def test_what_was_cut_off_at_its_very_end_is_not_begun_again(tmp_path: Path) -> None:
    machine = a_debian(tmp_path / "old")
    host = FakeHost(machine)
    assert not migrate.ended(host)
    take_over(host, debian=True)
    [aside] = host.names("/var/lib/matrix-baremetal/displaced")
    assert not migrate.ended(host)
    host.rename(f"/var/lib/matrix-baremetal/displaced/{aside}", migrate.ASIDE)
    assert migrate.ended(host)
    # As long as there is a note, rows may still have to be brought.
    machine.put(restore.NOTE, "{}")
    assert not migrate.ended(host)


def test_the_old_package_is_named_as_long_as_dpkg_knows_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine")
    assert migrate.packages(FakeHost(machine)) == ()
    machine.put("/var/lib/dpkg/info/matrix-synapse-py3.list", "")
    assert migrate.packages(FakeHost(machine)) == ("matrix-synapse-py3",)


def test_our_own_config_is_not_debians(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine")
    machine.put(f"{ETC}/homeserver.yaml", "# Written by matrix-baremetal; x\n")
    with pytest.raises(Error, match="of matrix-baremetal itself"):
        of_debian(FakeHost(machine))


def theirs(machine: Machine) -> dict[str, str]:
    return {path: row for path, row in machine.tree().items() if path.startswith(("/srv", "/root"))}


@pytest.mark.parametrize("text", [SQLITE, POSTGRES], ids=["sqlite", "postgres"])
def test_taken_over_it_is_the_same_server(tmp_path: Path, text: str) -> None:
    machine = a_source(tmp_path / "old", text)
    before = theirs(machine)
    host = FakeHost(machine)
    assert take_over(host) == []
    assert theirs(machine) == before
    assert host.text(KEY) == SEED
    assert host.text("/etc/matrix-baremetal/secrets/macaroon_secret_key") == "a secret"
    assert host.text("/etc/matrix-synapse/conf.d/turn_shared_secret") == "of turn\n"
    assert host.text(f"{MEDIA}/local_content/aa/bb/cc") == "a picture"
    assert host.text(f"{MEDIA}/remote_content/dd") == "somebody else's"
    assert "max_upload_size: 80M" in (host.text("/etc/matrix-synapse/homeserver.yaml") or "")
    assert host.node(CONFIG).mode == 0o600  # type: ignore[union-attr]
    assert host.node(migrate.SCRATCH) is None
    if text == POSTGRES:
        assert set(machine.postgres.bases) == {"matrix-synapse"}
        assert "CREATE TABLE public.t169" in (tmp_path / "old/loaded-matrix-synapse-restored").read_text()
    else:
        base = sqlite3.connect(machine.at("/var/lib/matrix-synapse/database/homeserver.db"))
        assert base.execute("SELECT name FROM users").fetchall() == [("@alice:example.org",)]
        base.close()


@pytest.mark.parametrize("text", [SQLITE, POSTGRES], ids=["sqlite", "postgres"])
def test_killed_at_any_operation_the_same_again_finishes_it(tmp_path: Path, text: str) -> None:
    machine = a_source(tmp_path / "old", text)
    before, count = theirs(machine), 0
    for number in range(5, 400, 29):
        place = tmp_path / f"run-{number}/machine"
        shutil.copytree(machine.root, place, symlinks=True)
        again = Machine.__new__(Machine)
        again.__dict__.update({**machine.__dict__, "root": place, "owners": dict(machine.owners)})
        again.postgres, again.units = copy.deepcopy(machine.postgres), copy.deepcopy(machine.units)
        again.users = [*machine.users]
        try:
            take_over(FakeHost(again, killed_at=number))
            break
        except Killed:
            count += 1
        assert take_over(FakeHost(again)) == [], number
        assert FakeHost(again).text(KEY) == SEED
        assert theirs(again) == before
        assert FakeHost(again).node(migrate.SCRATCH) is None
    assert count > 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"/srv/synapse/example.org.signing.key": ""}, "signing key is not there"),
        ({"/srv/synapse/example.org.signing.key": "x"}, "signing key can't be used"),
        ({"/root/synapse.sql": DUMP[:-20]}, "no whole database"),
        ({"/root/synapse.sql": DUMP.replace(":example.org", ":example.net")}, "are of example.net"),
        ({"/root/synapse.sql": "INSERT INTO public.users VALUES (1);\n" + DUMP}, "INSERT"),
        ({"/root/synapse.sql": COMPAT + DUMP}, "newer Synapse"),
        ({CONFIG: "server_name: example.net\n"}, "is of example.net"),
        ({CONFIG: "server_name: example.org\ndatabase: sqlite\n"}, "says database: sqlite"),
    ],
)
def test_what_stops_it_is_said(tmp_path: Path, change: dict[str, str], says: str) -> None:
    machine = a_source(tmp_path / "old", POSTGRES)
    for path, text in change.items():
        machine.put(path, text)
    assert [each.message for each in stops(FakeHost(machine)) if says in each.message]


def test_a_link_among_media_and_an_open_file_stop_it(tmp_path: Path) -> None:
    machine = a_source(tmp_path / "old")
    machine.at(f"{FOLDER}/media_store/local_content/link").symlink_to("/etc/shadow")
    with machine.at(f"{FOLDER}/homeserver.db").open("rb"):
        said = " ".join(each.message for each in stops(FakeHost(machine)))
    assert "is no file" in said
    assert "still has /srv/synapse/homeserver.db open" in said


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(Error, match=r"no homeserver\.yaml"):
        source.docker(FakeHost(Machine(tmp_path / "machine")), FOLDER)


def test_the_page_names_everything(tmp_path: Path) -> None:
    found = taken(FakeHost(a_source(tmp_path / "old")))
    text = migrate_page.page(found, new=True)
    for word in (
        "example.org",
        "ed25519:a_old",
        "1 account",
        "into sqlite",
        "max_upload_size",
        "macaroon_secret_key",
    ):
        assert word in text
    assert "a secret" not in text
    assert "of turn" not in text
    facts: dict[str, Any] = migrate_page.facts(found)
    assert (facts["accounts"], facts["database"]["schema"], facts["media"]) == (1, 93, 24)


def test_rows_that_are_not_where_its_config_says_are_missed_by_name(tmp_path: Path) -> None:
    machine = a_source(tmp_path / "one")
    machine.at(f"{FOLDER}/homeserver.db").unlink()
    host = FakeHost(machine)
    with pytest.raises(Error, match=f"its rows should be in {FOLDER}/homeserver.db"):
        migrate.looked(host, source.docker(host, FOLDER), None, QUIET)
