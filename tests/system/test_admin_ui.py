"""The admin page and the API that it asks: for whom they answer, and what can be done there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from matrix_baremetal import versions
from tests.fake_releases import archive, sha256
from tests.lab import Lab, network
from tests.matrix import MatrixError, Person
from tests.system import invariants
from tests.system.site import Site

# nginx and Synapse, of which nginx differs.
pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
KETESA = versions.read().ketesa
API = "/_synapse/admin/v2/users"
# What Ketesa's pages were seen to ask (its source of August 2026, built and walked through by hand), one a line.
# {room} and {person} are a room and somebody in it.
ASKED = """
/_matrix/client/v3/login
/_matrix/client/v3/publicRooms?limit=50
/_matrix/client/v3/profile/{person}
/_synapse/admin/v1/server_version
/_synapse/admin/v1/username_available?username=nobody
/_synapse/admin/v3/users?from=0&limit=50&order_by=name&dir=f
/_synapse/admin/v2/users/{person}
/_synapse/admin/v2/users/{person}/devices
/_synapse/admin/v1/whois/{person}
/_synapse/admin/v1/users/{person}/accountdata
/_synapse/admin/v1/users/{person}/joined_rooms
/_synapse/admin/v1/users/{person}/media
/_synapse/admin/v1/users/{person}/memberships
/_synapse/admin/v1/users/{person}/override_ratelimit
/_synapse/admin/v1/users/{person}/pushers
/_synapse/admin/v1/users/{person}/sent_invite_count?from_ts=0
/_synapse/admin/v1/users/{person}/cumulative_joined_room_count?from_ts=0
/_synapse/admin/v1/experimental_features/{person}
/_synapse/admin/v1/rooms?from=0&limit=50&order_by=name&dir=f
/_synapse/admin/v1/rooms/{room}
/_synapse/admin/v1/rooms/{room}/members
/_synapse/admin/v1/rooms/{room}/state
/_synapse/admin/v1/rooms/{room}/messages?dir=b&limit=20
/_synapse/admin/v1/rooms/{room}/timestamp_to_event?ts=0&dir=f
/_synapse/admin/v1/rooms/{room}/forward_extremities
/_synapse/admin/v1/rooms/{room}/block
/_synapse/admin/v1/room/{room}/media
/_synapse/admin/v1/event_reports?from=0&limit=50
/_synapse/admin/v1/user_reports?from=0&limit=50
/_synapse/admin/v1/federation/destinations
/_synapse/admin/v1/registration_tokens
/_synapse/admin/v1/scheduled_tasks
/_synapse/admin/v1/statistics/users/media
"""


@pytest.fixture(autouse=True)
def emptied(lab: Lab) -> Iterator[None]:
    with lab.mirror.alone():
        yield


def allow(site: Site, release: dict[str, str], *networks: str) -> None:
    """Let these in."""
    site.change(admin_ui={"enabled": True, "release": release, "allow": [*networks]})
    site.mb("apply")


def findings(site: Site) -> dict[str, str]:
    """What doctor found, by id."""
    rows = json.loads(site.mb("doctor", "--json", status=(0, 3)).stdout)["findings"]
    return {row["id"]: row["state"] for row in rows}


def looked_at(site: Site, admin: Person, origin: tuple[str, str]) -> None:
    """Each list and each card of the page comes, and a browser lets its script read it."""
    words = {"room": quote(admin.create_room("Looked at")), "person": quote(admin.user)}
    for path in ASKED.split():
        answer = site.web.ask("GET", site.url + path.format(**words), token=admin.token, options=origin)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*"), (path, answer.text)
    # A browser asks first whether it may send a token there.
    first = site.web.ask(
        "OPTIONS", f"{site.url}{API}", options=(*origin, "--header", "Access-Control-Request-Method: PUT")
    )
    allowed = first.headers["access-control-allow-headers"].split(", ")
    assert (first.status // 100, "Authorization" in allowed) == (2, True)
    assert "PUT" in first.headers["access-control-allow-methods"]


def changed(site: Site, admin: Person, person: Person) -> None:
    """What its buttons do: another password, a room that nobody may join and that goes, an account that is closed."""
    room, user = quote(person.create_room("To go")), quote(person.user)
    for method, path, body in (
        ("POST", f"v1/reset_password/{user}", {"new_password": "another of carol's", "logout_devices": False}),
        ("PUT", f"v1/rooms/{room}/block", {"block": True}),
        ("DELETE", f"v2/rooms/{room}", {"block": False, "purge": True}),
        ("POST", "v1/registration_tokens/new", {"token": "come-in"}),
        ("DELETE", "v1/registration_tokens/come-in", None),
    ):
        answer = site.web.ask(method, f"{site.url}/_synapse/admin/{path}", body, token=admin.token)
        assert answer.status == 200, (path, answer.text)
    assert site.login("carol", "another of carol's").user == person.user
    closed = site.web.ask("PUT", f"{site.url}{API}/{user}", {"deactivated": True}, token=admin.token)
    assert closed.data["deactivated"] is True
    with pytest.raises(MatrixError):
        site.login("carol", "another of carol's")


def test_the_page_and_the_api_answer_to_the_networks_that_are_listed(site: Site, lab: Lab) -> None:
    data = archive({"ketesa/index.html": b"<!DOCTYPE html><title>A stand-in</title>", "ketesa/assets/a-1.js": b"1"})
    lab.mirror.put(KETESA.url, data)
    release = {"url": KETESA.url, "sha256": sha256(data)}
    admin, alice = f"admin.{site.server_name}", site.login("alice")
    person = f"{API}/@carol:{site.server_name}"
    # The lab's networks are private, and so let in.
    allow(site, release)
    page = site.get("/", admin)
    assert (page.status, "A stand-in" in page.text) == (200, True)
    assert page.headers["content-security-policy"].endswith(f"connect-src 'self' {site.url}")
    assert site.get("/config.json", admin).data["restrictBaseUrl"] == site.url
    assert site.web.ask("GET", f"http://{admin}/").status == 301
    # As the page's script asks from its own name.
    origin = ("--header", f"Origin: https://{admin}")
    listed = site.web.ask("GET", f"{site.url}{API}?limit=9", token=alice.token, options=origin)
    assert (listed.status, listed.headers["access-control-allow-origin"]) == (200, "*")
    made = site.web.ask("PUT", f"{site.url}{person}", {"password": "a password of carol's"}, token=alice.token)
    assert made.status == 201
    carol = site.login("carol", "a password of carol's")
    for token in (carol.token, None):
        assert site.web.ask("GET", f"{site.url}{API}", token=token).status in (401, 403), "Synapse asks who it is"
    looked_at(site, alice, origin)
    changed(site, alice, carol)
    for path in (
        "/_synapse/metrics",
        "/_matrix/../_synapse/admin/v1/server_version",
        "//_synapse/admin/v1/server_version",
    ):
        assert site.get(path, options=("--path-as-is",)).status == 404
    found = findings(site)
    assert (found[f"web.program.{admin}"], found[f"exposure.admin.{site.hostname}"]) == ("pass", "pass")

    allow(site, release, f"{network.ip4(network.GATEWAY)}/32")
    for path, name in (("/", admin), ("/config.json", admin), ("/assets/a-1.js", admin), (API, site.hostname)):
        answer = site.get(path, name)
        assert (answer.status, answer.headers["content-type"]) == (403, "text/html"), path
    refused = site.web.ask("GET", f"{site.url}{API}", token=alice.token)
    assert refused.status == 403, "an administrator's token opens nothing from elsewhere"
    assert findings(site)[f"exposure.admin.{site.hostname}"] == "pass"
    allow(site, release, f"{network.ip4(network.CLIENT)}/32", f"{network.ip6(network.CLIENT)}/128")
    assert site.web.ask("GET", f"{site.url}{API}", token=alice.token).status == 200
    invariants.nothing_to_do(site)

    site.change()
    site.mb("apply")
    assert site.get(API).status == 404
    assert site.guest.run("ls /opt/matrix-baremetal").stdout.split() == ["synapse"]
    invariants.hold(site)
