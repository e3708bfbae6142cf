"""Accounts: made from stdin or with an invented password, listed, logged in; no password where others can see it."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.matrix import MatrixError
from tests.system import invariants
from tests.system.site import Site

pytestmark = pytest.mark.lab
PASSWORD = "correct horse ' \" $HOME {{7}} ünï"
# Every word of every process, as often as it can be had.
WATCH = "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; done"


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


def test_an_invented_password_is_kept_for_root(site: Site) -> None:
    done = site.mb("user", "add", "dave", "--generate", "--admin")
    password = site.password("dave")
    assert len(password) >= 16
    assert password not in done.stdout
    assert f"Made @dave:{site.server_name} (administrator)." in done.stdout
    dave = site.login("dave")
    server = site.guest.run(
        ["curl", "-sS", "-K", "-", "http://127.0.0.1:8008/_synapse/admin/v1/server_version"],
        input=f'header = "Authorization: Bearer {dave.token}"\n',
    )
    assert "server_version" in server.stdout
    invariants.findings(site)


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
