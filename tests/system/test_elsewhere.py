"""The server name is another machine's web site, which leads others to the homeserver by a snippet of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from matrix_baremetal.well_known import HEADERS
from tests.lab import CommandFailed, Guest, Lab
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.own_guests]
SERVER = "/.well-known/matrix/server"
NOTES = "/var/lib/matrix-baremetal/elsewhere"


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
def homeserver(lab: Lab, snapshots: Snapshots) -> Iterator[Site]:
    """A machine with our package and a config."""
    site = Site(lab, snapshots.boot("package", 13, "st-elsewhere"))
    site.configure()
    yield site
    lab.down(site.guest.name)


@pytest.fixture
def web(lab: Lab, snapshots: Snapshots) -> Iterator[Guest]:
    """Another machine, with three web servers, that has the homeserver's server name."""
    guest = snapshots.boot("package", 12, "st-web")
    guest.run(
        "apt-get update -q && systemctl disable -q --now nginx && ln -s /dev/null /etc/systemd/system/caddy.service"
        " && ln -s /dev/null /etc/systemd/system/apache2.service && apt-get install -q -y apache2 caddy"
        " && systemctl unmask caddy apache2",
        timeout=600,
    )
    for source, target in zip(lab.certificate("st-elsewhere.test"), CERTIFICATE, strict=True):
        guest.put(source, target)
    yield guest
    lab.down(guest.name)


def serve(web: Guest, server: WebServer, name: str, snippet: str = "") -> None:
    """The site of a web server, with a snippet; what its comments tell to run is run."""
    web.run("systemctl stop nginx apache2 caddy; rm -rf /var/www/html/.well-known")
    for line in snippet.splitlines():
        if line.startswith("#   "):
            web.run(line.removeprefix("#   "))
    web.write(server.file, server.site.format(name=name, pair=CERTIFICATE, snippet=snippet))
    web.run(f"{server.setup} && systemctl start {server.unit}")


def test_the_server_name_is_another_machines_web_site(web: Guest, homeserver: Site) -> None:
    site = homeserver
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
