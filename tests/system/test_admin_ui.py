"""The admin page and the API that it asks: for whom they answer, and what can be done there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from matrix_baremetal import versions
from tests.fake_releases import archive, sha256
from tests.lab import Lab, network
from tests.system import invariants
from tests.system.site import Site

# nginx and Synapse, of which nginx differs.
pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
KETESA = versions.read().ketesa
API = "/_synapse/admin/v2/users"


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
    assert page.headers["content-security-policy"].startswith("frame-ancestors 'none'")
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
