"""Accounts: made, listed, logged in, changed and closed; no password where others can see it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.matrix import MatrixError, Person
from tests.system import invariants
from tests.system.site import SECRETS, Site
from tests.system.test_backup import upload

pytestmark = pytest.mark.lab
PASSWORD = "correct horse ' \" $HOME {{7}} ünï"
# Every word of every process, as often as it can be had.
WATCH = "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; done"


@pytest.mark.sampled(13)
def test_a_password_from_stdin_is_seen_by_nobody(site: Site) -> None:
    watching = site.guest.popen(WATCH, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        done = site.mb("user", "add", "carol", "--password-stdin", input=f"{PASSWORD}\n")
    finally:
        watching.terminate()
        seen, _ = watching.communicate()
    assert "matrix-baremetal" in seen, "the watcher saw nothing"
    assert PASSWORD not in seen
    assert PASSWORD not in done.stdout + done.stderr
    assert site.login("carol", PASSWORD).user == f"@carol:{site.server_name}"
    found = site.guest.run(["grep", "-rslF", PASSWORD, "/var/log", "/etc", "/var/lib/matrix-baremetal"], check=False)
    assert found.stdout == ""
    assert PASSWORD not in site.guest.run("journalctl --no-pager -q -o cat").stdout
    with pytest.raises(MatrixError, match="403"):
        site.login("carol", "another")


@pytest.mark.sampled(13)
def test_an_invented_password_is_kept_for_root(site: Site) -> None:
    done = site.mb("user", "add", "dave", "--generate", "--admin")
    password = site.password("dave")
    assert len(password) >= 16
    assert site.sql("SELECT count(*) FROM access_tokens WHERE user_id LIKE '@dave:%';") == "0", "nobody is logged in"
    assert password not in done.stdout
    assert f"Made @dave:{site.server_name} (administrator)." in done.stdout
    dave = site.login("dave")
    server = site.guest.run(
        ["curl", "-sS", "-K", "-", "http://127.0.0.1:8008/_synapse/admin/v1/server_version"],
        input=f'header = "Authorization: Bearer {dave.token}"\n',
    )
    assert "server_version" in server.stdout
    invariants.findings(site)


@pytest.mark.sampled(13)
def test_accounts_are_listed(site: Site) -> None:
    rows = json.loads(site.mb("user", "list", "--json").stdout)
    users = rows if isinstance(rows, list) else rows["users"]
    found = {row["user"]: row["admin"] for row in users}
    assert found == {f"@alice:{site.server_name}": True, f"@bob:{site.server_name}": False}
    said = site.mb("user", "list").stdout
    assert f"@alice:{site.server_name}" in said
    assert "admin" in said


@pytest.mark.parametrize(
    ("words", "input", "status", "says"),
    [
        (["bob", "--generate"], None, 1, "exists already"),
        (["Bob Smith", "--generate"], None, 2, "is no user name"),
        (["@eve:elsewhere.org", "--generate"], None, 2, "is a whole Matrix id"),
        (["eve"], None, 2, "no password was given"),
        (["eve", "--password-stdin"], "\n", 2, "empty"),
        (["eve", "--generate", "--password-stdin"], None, 2, "not allowed with"),
    ],
    ids=["twice", "spaces", "elsewhere", "none", "empty", "both"],
)
def test_mistakes(standing: Site, words: list[str], input: str | None, status: int, says: str) -> None:
    done = standing.mb("user", "add", *words, status=status, input=input)
    assert says in done.stderr, done.stderr


def shown(site: Site, name: str) -> Any:
    """All that is known of somebody."""
    return json.loads(site.mb("user", "show", name, "--json").stdout)


def left(site: Site) -> None:
    """Of the administrator that we were for a moment nothing is left."""
    ours = "LIKE '@\\_matrix-baremetal.%'"
    assert site.sql(f"SELECT count(*) FROM users WHERE name {ours};") == "0"
    assert site.sql(f"SELECT count(*) FROM access_tokens WHERE user_id {ours};") == "0"


def written_down(site: Site, bob: Person) -> None:
    """What the server has of somebody is in one file, with what they said and sent, and nothing else is left."""
    room = bob.create_room("To be written down")
    bob.send(room, "Written down, ünd äll")
    mxc = upload(bob)
    site.mb("user", "export", "bob", "--to", "/root/bob.tar.gz")
    listing = site.guest.run("tar tvf /root/bob.tar.gz && stat -c %a:%U /root/bob.tar.gz").stdout
    assert listing.endswith("\n600:root\n")
    assert f"media/{mxc.rpartition('/')[2]}\n" in listing
    said = site.guest.run(f"tar xOf /root/bob.tar.gz 'rooms/{room}/events.jsonl'").stdout.splitlines()
    assert "Written down, ünd äll" in [json.loads(line)["content"].get("body") for line in said]
    there = "ls -d /var/lib/matrix-baremetal/export /run/matrix-baremetal/port /root/.*.part 2>/dev/null"
    assert site.guest.run(there, check=False).stdout == ""
    assert "is there already" in site.mb("user", "export", "bob", "--to", "/root/bob.tar.gz", status=1).stderr


@pytest.mark.sampled(13)
def test_an_account_is_changed_and_closed(site: Site) -> None:
    bob, name = site.login("bob"), f"@bob:{site.server_name}"
    about = shown(site, name)
    assert (about["user"], about["admin"], about["deactivated"], about["rooms"]) == (name, False, False, 1)
    assert len(about["devices"]) >= 1
    written_down(site, bob)
    # Who is logged in stays so where that is said, and with the new password nobody is.
    assert json.loads(site.mb("user", "passwd", "bob", "--generate", "--keep-devices", "--json").stdout) == {
        "user": name,
        "devices_logged_out": 0,
        "password_file": f"{SECRETS}/passwords/bob",
    }
    bob.sync()
    new = site.password("bob")
    done = site.mb("user", "passwd", "bob", "--password-stdin", input=f"{PASSWORD}\n")
    assert PASSWORD not in done.stdout + done.stderr
    with pytest.raises(MatrixError, match="401"):
        bob.sync()
    with pytest.raises(MatrixError, match="403"):
        site.login("bob", new)
    bob = site.login("bob", PASSWORD)
    # The administrators' interface is not for the outside, so it is asked from inside.
    asked = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-K", "-"]
    asked += ["http://127.0.0.1:8008/_synapse/admin/v2/users"]
    for words, code in (((), "200"), (("--revoke",), "403")):
        site.mb("user", "admin", "bob", *words)
        header = f'header = "Authorization: Bearer {bob.token}"\n'
        assert site.guest.run(asked, input=header).stdout == code
    assert "nobody said" in site.mb("user", "deactivate", "bob", status=2).stderr
    site.mb("user", "deactivate", "bob", "--yes")
    with pytest.raises(MatrixError, match="403"):
        site.login("bob", PASSWORD)
    assert shown(site, "bob")["deactivated"] is True
    assert "exists already" in site.mb("user", "add", "bob", "--generate", status=1).stderr
    assert f"did you mean {name}?" in site.mb("user", "show", "bobb", status=1).stderr
    left(site)
    invariants.findings(site)


@pytest.mark.sampled(13)
def test_fifty_people_are_imported(site: Site) -> None:
    lines = [f"pupil{i},Pupil {i},pupil{i}@example.net,{'yes' if i == 7 else ''}," for i in range(50)]
    head = "name,displayname,email,admin,password"
    site.guest.write("/root/pupils.csv", "\n".join([head, *lines[:20], "Pupil 21,,,,", *lines[20:]]), 0o600)
    refused = site.mb("user", "import", "/root/pupils.csv", status=2)
    assert refused.stderr.startswith("/root/pupils.csv:22:1: name: ")
    assert len(json.loads(site.mb("user", "list", "--json").stdout)["users"]) == 2
    site.guest.write("/root/pupils.csv", "\n".join([head, *lines]), 0o600)
    done = site.mb("user", "import", "/root/pupils.csv")
    assert "Made 50 accounts in" in done.stdout
    place = f"{SECRETS}/imports/pupils.csv"
    assert f"Invented passwords: in {place}" in done.stdout
    passwords = dict(line.split(",") for line in site.guest.read(place).splitlines()[1:])
    assert len(set(passwords.values())) == len(passwords) == 50
    assert not any(password in done.stdout for password in passwords.values())
    assert site.login("pupil49", passwords["pupil49"]).user == f"@pupil49:{site.server_name}"
    about = shown(site, "pupil7")
    assert (about["admin"], about["displayname"], about["emails"]) == (True, "Pupil 7", ["pupil7@example.net"])
    again = site.mb("user", "import", "/root/pupils.csv")
    assert "Made 0 accounts" in again.stdout
    assert "50 were there already." in again.stdout
    site.guest.write("/root/zoe.csv", "name,email\nzoe,Pupil3@example.net\n", 0o600)
    assert "belongs to @pupil3:" in site.mb("user", "import", "/root/zoe.csv", status=2).stderr
    left(site)
    invariants.findings(site)


@pytest.mark.sampled(12)
def test_a_new_secret_takes_the_place_of_one_that_was_seen(site: Site) -> None:
    alice = site.login("alice")
    names = ("registration_shared_secret", "macaroon_secret_key", "form_secret")
    before = {name: site.guest.read(f"{SECRETS}/{name}") for name in names}
    for name in names:
        assert "nobody is here to say" in site.mb("secrets", "rotate", name, status=2).stderr
        done = site.mb("secrets", "rotate", name, "--yes")
        assert "restart matrix-synapse.service" in done.stdout
        assert site.guest.read(f"{SECRETS}/{name}") not in (before[name], "", done.stdout)
    assert "has to stay as it is" in site.mb("secrets", "rotate", "signing.key", "--yes", status=1).stderr
    site.mb("user", "add", "carol", "--generate")
    assert alice.ask("GET", "account/whoami")["user_id"] == alice.user, "nobody was logged out"
    shown = site.mb("secrets", "list").stdout
    assert not any(site.guest.read(f"{SECRETS}/{name}").strip() in shown for name in names)
    site.mb("plan")
