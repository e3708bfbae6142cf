"""How others find a server: by SRV, and on port 8448."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.lab import Lab
from tests.matrix import MatrixError
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.site import Site

pytestmark = pytest.mark.lab
SERVER, CLIENT = "/.well-known/matrix/server", "/.well-known/matrix/client"
VERSION = "/_matrix/federation/v1/version"


@pytest.fixture
def sites(lab: Lab, snapshots: Snapshots) -> Iterator[tuple[Site, Site]]:
    yield Site(lab, snapshots.boot("site", 12)), Site(lab, snapshots.boot("site", 13))
    lab.down("st-12")
    lab.down("st-13")


def talk(one: Site, two: Site) -> None:
    """Somebody of one invites somebody of the other, and both read what the other wrote."""
    alice, bob = one.login("alice"), two.login("bob")
    room = alice.create_room("Both", invite=[bob.user])
    bob.wait_for_invitation(room)
    bob.join(room, via=one.server_name)
    for writer, reader in ((alice, bob), (bob, alice)):
        writer.send(room, f"from {writer.user}")
        reader.wait_for(room, writer.user, f"from {writer.user}")


def test_by_srv_and_without_delegation(sites: tuple[Site, Site]) -> None:
    """One has a record, the other the port: each finds the other by its own way, and nobody by a document.

    The other has its certificate from an authority of its own, whose root both trust.
    """
    srv, port = sites
    srv.change({"url_preview_enabled": True}, federation={"delegation": "srv"})
    port.change(federation={"delegation": "none"}, tls=own_pair(port))
    # The record is the one that the operator is told to make.
    [record] = [r for r in json.loads(srv.mb("show", "dns", "--json").stdout)["records"] if r["type"] == "SRV"]
    priority, weight, number, target = record["value"].split()
    srv.lab.dns.set(record["name"], srv=[(int(priority), int(weight), int(number), target)])
    for site in sites:
        site.mb("apply")
        assert site.plan() == []
        assert site.status()["faults"] == []
        assert site.get(SERVER, site.server_name).status == 404
        assert site.get(CLIENT, site.server_name).data["m.homeserver"] == {"base_url": site.url}
    assert srv.get(VERSION, srv.server_name).data["server"]["name"] == "Synapse"
    assert port.get(VERSION, port.server_name).status == 404
    for options in ((), ("--ipv4",), ("--ipv6",)):
        assert port.get(VERSION, f"{port.server_name}:8448", options).data["server"]["name"] == "Synapse"
    for closed in ("/_matrix/client/versions", "/_synapse/admin/v1/server_version", CLIENT):
        assert port.get(closed, f"{port.server_name}:8448").status == 404
    assert "8448" in port.mb("show", "ports").stdout
    talk(srv, port)
    talk(port, srv)
    previews_stay_outside(srv)
    for site in sites:
        invariants.hold(site)
    back_to_the_default(port)


def own_pair(site: Site) -> dict[str, str]:
    """A pair of files from an authority in the place; what the config says of it."""
    files = {"certificate": "/etc/ssl/own.pem", "key": "/etc/ssl/private/own.key"}
    for source, target in zip(site.lab.certificate(site.server_name, site.hostname), files.values(), strict=True):
        site.guest.put(source, target)
    site.guest.run(f"chmod 600 {files['key']}")
    return {"mode": "files", **files}


def previews_stay_outside(site: Site) -> None:
    """A link in a message leads Synapse to no address of ours, by number or by name."""
    alice = site.login("alice")
    for url in ("http://127.0.0.1:8008/", f"http://{site.guest.ip}/", f"{site.url}/_matrix/client/versions"):
        path = f"{site.url}/_matrix/client/v1/media/preview_url?{urlencode({'url': url})}"
        answer = site.web.ask("GET", path, token=alice.token)
        assert answer.status in (403, 502), answer.text
        assert "blocked" in answer.text or "DNS resolution failure" in answer.text


def back_to_the_default(site: Site) -> None:
    """Port 8448 closes, and the document is there again."""
    site.change()
    site.mb("apply")
    assert not site.web.works(f"https://{site.server_name}:8448{VERSION}")
    assert site.get(SERVER, site.server_name).data == {"m.server": f"{site.hostname}:443"}


@pytest.mark.sampled(13)
def test_a_port_that_somebody_else_has_is_named_before_anything_changes(site: Site) -> None:
    site.change(federation={"delegation": "none"})
    site.guest.run(
        "systemd-run --unit=other python3 -m http.server 8448 && until ss -ltn | grep -q :8448; do :; done"
    )
    done = site.mb("apply", status=1)
    assert "port 8448 is in use by python3" in done.stderr
    assert "systemctl disable --now other.service" in done.stderr
    assert "nothing was changed" in done.stderr
    assert site.get(SERVER, site.server_name).status == 200


def test_who_is_not_allowed_is_kept_out_both_ways(sites: tuple[Site, Site]) -> None:
    """A list on one side is enough; and where federation is off, nobody comes in."""
    one, two = sites
    one.change(federation={"allow": ["elsewhere.example"]})
    one.mb("apply")
    for here, there in (sites, sites[::-1]):
        with pytest.raises(MatrixError, match=r"403 .*Federation denied"):
            here.login("alice").create_room("No", invite=[f"@bob:{there.server_name}"])
    one.change(federation={"enabled": False})
    one.mb("apply")
    assert one.get(VERSION).status == 404
    assert one.get("/_matrix/key/v2/server").status == 404
    assert one.get(SERVER, one.server_name).status == 404
    assert one.get(CLIENT, one.server_name).status == 200
    assert one.answers()
    with pytest.raises(MatrixError):
        two.login("bob").create_room("No", invite=[f"@bob:{one.server_name}"])
    invariants.hold(one)
