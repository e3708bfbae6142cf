"""Who may make an account: nobody, whoever has a token, whoever is verified; and administrators by a hash."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.matrix import MatrixError, Person
from tests.system import invariants
from tests.system.site import Site

# All of it is Synapse and Python, the same on both releases.
pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
PASSWORD = "a password of zoe's own"
REFUSED = "Invalid registration token"
# Seconds.
OPEN = 16


def register(site: Site, name: str, token: str | None = None) -> Person:
    """Somebody outside makes an account."""
    return Person.register(site.web, site.url, name, PASSWORD, token)


def token(site: Site, *words: str) -> Any:
    """A new token."""
    return json.loads(site.mb("token", "create", "--json", *words).stdout)


def listed(site: Site) -> dict[str, str]:
    """The state of each token."""
    return {row["token"]: row["state"] for row in json.loads(site.mb("token", "list", "--json").stdout)["tokens"]}


def test_a_token_lets_one_person_in(site: Site) -> None:
    assert "registration is closed" in site.mb("token", "create", status=1).stderr
    with pytest.raises(MatrixError, match="403"):
        register(site, "zoe")
    site.change(registration="token")
    assert "still runs with registration closed" in site.mb("token", "create", status=1).stderr
    site.mb("apply")
    made, spare = token(site, "--expires", "1h"), token(site)
    assert made["uses_allowed"] == 1
    for bad, says in ((None, "Missing registration token"), ("not-a-token", REFUSED)):
        with pytest.raises(MatrixError, match=says):
            register(site, "mallory", bad)
    zoe = register(site, "zoe", made["token"])
    assert zoe.user == f"@zoe:{site.server_name}"
    zoe.create_room("Mine")
    about = json.loads(site.mb("user", "show", "zoe", "--json").stdout)
    assert (about["admin"], about["rooms"], len(about["devices"])) == (False, 1, 1)
    with pytest.raises(MatrixError, match=REFUSED):
        register(site, "second", made["token"])
    assert listed(site) == {made["token"]: "used up", spare["token"]: "valid"}
    site.mb("token", "revoke", spare["token"])
    with pytest.raises(MatrixError, match=REFUSED):
        register(site, "third", spare["token"])
    assert spare["token"] in site.mb("token", "revoke", spare["token"], status=1).stderr
    assert zoe.sync()["next_batch"], "accounts stay"
    registration_closes_by_itself(site)
    registration_closes_when_no_administrator_looks_in(site)
    invariants.hold(site)


def registration_closes_by_itself(site: Site) -> None:
    """Open for so long that an apply and a person fit in; then nobody runs anything, and nobody gets in."""
    made = token(site, "--uses", "unlimited")["token"]
    end = int(time.time()) + OPEN
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(end))
    site.change(registration={"mode": "token", "until": f"{at}Z"})
    assert f"{at} UTC" in site.mb("plan", status=3).stdout
    site.mb("apply")
    register(site, "fourth", made)
    said = site.mb("doctor", "synapse.registration").stdout
    assert f"people can register, through a gate, until {at[:16]} UTC" in said
    assert f"registration with a token is open until {at[:16]} UTC" in site.mb("status").stdout
    time.sleep(max(end + 1 - time.time(), 0))
    site.wait_until_it_answers()
    with pytest.raises(MatrixError, match="403"):
        register(site, "fifth", made)
    page = site.status()["registration"]
    assert (page["mode"], page["until"], page["closed"]) == ("token", end, True)
    assert "so nobody could use a token" in site.mb("token", "create", status=1).stderr
    journal = site.guest.run("journalctl -q -o cat -u matrix-baremetal-registration.service").stdout
    assert f"registration is closed since {at} UTC" in journal


def registration_closes_when_no_administrator_looks_in(site: Site) -> None:
    """One who was here keeps it open; once they are long gone it closes, and no start of Synapse opens it."""
    alice = site.login("alice")
    site.change(registration={"mode": "token", "unattended_days": 14})
    site.mb("apply")
    made = token(site, "--uses", "unlimited")["token"]
    site.guest.write("/var/lib/matrix-baremetal/registration/opened", "14 days from 2026-01-01 00:00:00 UTC\n", 0o644)
    closer = "systemctl start matrix-baremetal-registration.service"
    site.guest.run(closer)
    register(site, "sixth", made)
    for table in ("devices", "user_ips"):
        site.sql(f"UPDATE {table} SET last_seen = last_seen - 15 * 86400000::bigint")
    site.guest.run(closer)
    with pytest.raises(MatrixError, match="403"):
        register(site, "seventh", made)
    said = site.mb("doctor", "synapse.registration").stdout
    assert "no administrator looked in for 14 days" in said
    assert "log in as an administrator, then: matrix-baremetal apply" in said
    site.guest.run("systemctl restart matrix-synapse")
    site.wait_until_it_answers()
    done = site.mb("apply")
    assert "log in as one first" in done.stdout + done.stderr
    with pytest.raises(MatrixError, match="403"):
        register(site, "seventh", made)
    alice.sync()
    # Synapse writes it down a few seconds later.
    end = time.monotonic() + 15
    while "registration while an administrator looks in" not in site.planned():
        assert time.monotonic() < end
        time.sleep(0.5)
    site.mb("apply")
    register(site, "seventh", made)


def test_open_registration_asks_for_the_captcha(site: Site) -> None:
    paths = {
        f"recaptcha_{name}_path": f"/etc/matrix-synapse/recaptcha_{name}" for name in ("public_key", "private_key")
    }
    for path in paths.values():
        site.guest.write(path, "a key\n", 0o644)
    site.change({"enable_registration_captcha": True, **paths}, registration="open")
    site.mb("apply")
    answer = site.web.ask("POST", f"{site.url}/_matrix/client/v3/register", {"username": "zoe", "password": PASSWORD})
    assert answer.status == 401
    assert all("m.login.recaptcha" in flow["stages"] for flow in answer.data["flows"])
    invariants.nothing_to_do(site)


def test_an_administrator_by_a_hash_logs_in_and_changes_the_password(site: Site) -> None:
    script = "import bcrypt, sys; print(bcrypt.hashpw(sys.stdin.read().encode(), bcrypt.gensalt(5)).decode())"
    python = "/opt/matrix-baremetal/synapse/current/bin/python"
    password_hash = site.guest.run([python, "-I", "-c", script], input=PASSWORD).stdout.strip()
    site.change(admins=[{"name": "carol", "password_hash": password_hash}])
    planned = site.mb("plan", "-v", status=3).stdout
    assert "account @carol:" in planned
    done = site.mb("apply")
    assert password_hash not in planned + done.stdout + done.stderr
    with pytest.raises(MatrixError, match="403"):
        site.login("carol", "another")
    carol = site.login("carol", PASSWORD)
    assert json.loads(site.mb("user", "show", "carol", "--json").stdout)["admin"] is True
    assert "the config lists carol" in site.mb("user", "admin", "carol", "--revoke", status=1).stderr
    site.mb("user", "passwd", "carol", "--generate", "--keep-devices")
    carol.sync()
    invariants.nothing_to_do(site)
    site.login("carol")
    journal = site.guest.run("journalctl --no-pager -q -o cat").stdout
    assert password_hash not in journal
    invariants.hold(site)
