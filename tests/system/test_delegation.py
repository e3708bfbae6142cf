"""How others find a server: by SRV, on port 8448, and by what another machine's web server says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from matrix_baremetal.well_known import HEADERS
from tests.lab import CommandFailed, Guest, Lab
from tests.matrix import MatrixError
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.site import Site

pytestmark = pytest.mark.lab
SERVER, CLIENT = "/.well-known/matrix/server", "/.well-known/matrix/client"
VERSION = "/_matrix/federation/v1/version"
NOTES = "/var/lib/matrix-baremetal/elsewhere"


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


@dataclass(frozen=True)
class WebServer:
    """A web server from Debian that has the server name, its site's file, and the site with a place for a snippet."""

    name: str
    unit: str
    file: str
    site: str
    setup: str = "true"


CERTIFICATE = "/etc/ssl/site.pem", "/etc/ssl/site.key"
WEB_SERVERS = (
    WebServer(
        "nginx",
        "nginx",
        "/etc/nginx/sites-enabled/default",
        """server {{
    listen 443 ssl; listen [::]:443 ssl; listen 80; listen [::]:80;
    server_name {name};
    ssl_certificate {pair[0]}; ssl_certificate_key {pair[1]};
    root /var/www/html;
{snippet}
}}
""",
    ),
    WebServer(
        "apache",
        "apache2",
        "/etc/apache2/sites-available/000-default.conf",
        """<VirtualHost *:443>
ServerName {name}
DocumentRoot /var/www/html
SSLEngine on
SSLCertificateFile {pair[0]}
SSLCertificateKeyFile {pair[1]}
{snippet}
</VirtualHost>
""",
        "a2enmod -q ssl",
    ),
    WebServer(
        "caddy",
        "caddy",
        "/etc/caddy/Caddyfile",
        "{name} {{\n    tls {pair[0]} {pair[1]}\n    root * /var/www/html\n    file_server\n{snippet}\n}}\n",
        "chmod 644 /etc/ssl/site.key",
    ),
)


@pytest.fixture
def fresh_13(lab: Lab, snapshots: Snapshots) -> Iterator[Site]:
    """Without a release among its parameters, so that nobody else is at work on the other one, which `web` needs."""
    site = Site(lab, snapshots.boot("package", 13))
    site.configure()
    yield site
    lab.down("st-13")


@pytest.fixture
def web(lab: Lab, snapshots: Snapshots) -> Iterator[Guest]:
    """Another machine, with three web servers, that has the server name of st-13."""
    snapshots.prepare("package", 12)
    guest = lab.up("st-web", lower="st-package-12")
    guest.run(
        "apt-get update -q && systemctl disable -q --now nginx && ln -s /dev/null /etc/systemd/system/caddy.service"
        " && ln -s /dev/null /etc/systemd/system/apache2.service && apt-get install -q -y apache2 caddy"
        " && systemctl unmask caddy apache2",
        timeout=600,
    )
    for source, target in zip(lab.certificate("st-13.test"), CERTIFICATE, strict=True):
        guest.put(source, target)
    yield guest
    lab.down("st-web")


def serve(web: Guest, server: WebServer, name: str, snippet: str = "") -> None:
    """The site of a web server, with a snippet; what its comments tell to run is run."""
    web.run("systemctl stop nginx apache2 caddy; rm -rf /var/www/html/.well-known")
    for line in snippet.splitlines():
        if line.startswith("#   "):
            web.run(line.removeprefix("#   "))
    web.write(server.file, server.site.format(name=name, pair=CERTIFICATE, snippet=snippet))
    web.run(f"{server.setup} && systemctl start {server.unit}")


def test_the_server_name_is_another_machines_web_site(web: Guest, fresh_13: Site) -> None:
    site = fresh_13
    site.lab.dns.set(site.server_name, a=[web.ip], aaaa=[web.ip6])
    serve(web, WEB_SERVERS[0], site.server_name)
    said = site.install(status=3).stdout
    assert "see: matrix-baremetal show well-known" in " ".join(said.split())
    here, there = site.status()["certificates"]
    assert (here["state"], there["state"]) == ("valid", "pending")
    assert (
        f"another web server has this name, and https://{site.server_name}{SERVER} there gives status 404"
        in there["reason"]
    )
    assert ordered(site) == {site.hostname}, "an order would have failed, and counted"
    for server in WEB_SERVERS:
        snippet = site.mb("show", "well-known", "--for", server.name).stdout
        serve(web, server, site.server_name, snippet)
        answered(site)
        # What was seen a day ago is looked at by the timer's unit, which is locked down.
        site.guest.run(f"[ ! -e {NOTES}/* ] || echo '{{\"seen\": 0}}' > {NOTES}/{site.server_name}")
        site.mb("apply") if server is WEB_SERVERS[0] else site.guest.run(
            "systemctl start matrix-baremetal-certificates"
        )
        assert site.plan() == []
        page = site.status()
        assert page["faults"] == []
        assert [row["state"] for row in page["certificates"]] == ["valid", "elsewhere"]
    assert f"Another web server answers for {site.server_name}" in site.mb("show", "dns").stdout
    invariants.hold(site)
    comes_home(site, web)


def ordered(site: Site) -> set[str]:
    """The names that were asked of the authority, by certbot's log."""
    found = site.guest.run('grep -rhoE \'"value": "[^"]+\' /var/log/letsencrypt').stdout
    return {line.rpartition('"')[2] for line in found.splitlines()}


def answered(site: Site) -> None:
    """What anybody gets under the server name: the documents, as JSON, for scripts of any web site too."""
    page = json.loads(site.mb("show", "well-known", "--json").stdout)
    assert len(page["documents"]) == 3
    for document in page["documents"]:
        answer = site.web.ask("GET", document["url"])
        assert (answer.status, answer.data) == (200, document["content"])
        for name, value in HEADERS.items():
            assert answer.headers[name.lower()] == value, document["url"]


def comes_home(site: Site, web: Guest) -> None:
    """The name moves here: the next look orders a certificate, and this machine answers."""
    web.run("systemctl stop nginx apache2 caddy")
    site.lab.dns.reset(site.server_name)
    site.guest.run(f"echo '{{\"seen\": 0}}' > {NOTES}/{site.server_name}")
    site.mb("apply")
    assert [row["state"] for row in site.status()["certificates"]] == ["valid", "valid"]
    assert site.get(SERVER, site.server_name).data == {"m.server": f"{site.hostname}:443"}
    with pytest.raises(CommandFailed):
        site.guest.quick("ls", f"{NOTES}/{site.server_name}")
