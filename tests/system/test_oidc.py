"""Single sign-on by a real provider: who comes twice is the same, a stranger stays out, and nothing stays."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.lab import identity, network
from tests.lab.identity import Identity
from tests.matrix import Answer
from tests.system import invariants
from tests.system.site import HOMESERVER, SYNAPSE, Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
SECRET = "Of-the.provider_0123456789"
FILE = "/etc/matrix-baremetal/oidc-lab"
COPY = "/etc/matrix-baremetal/secrets/oidc-lab"
DROP_IN = "/etc/systemd/system/matrix-synapse.service.d/50-matrix-baremetal.conf"
PEOPLE = {"nora": {"name": "Nora N.", "groups": ["staff", "matrix"]}, "eve": {"groups": ["staff"]}}
APP = "https://app.example.org/in"


class Visitor:
    """Somebody with a browser that keeps cookies."""

    def __init__(self, site: Site, jar: Path) -> None:
        self.site, self.jar = site, ("--cookie", str(jar), "--cookie-jar", str(jar))

    def go(self, url: str) -> Answer:
        """Look at an address, and where it leads."""
        return self.site.web.ask("GET", url, options=(*self.jar, "--location", "--max-redirs", "9"))

    def fill(self, page: Answer, base: str, **more: str) -> Answer:
        """Fill in the form of a page."""
        form = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert form, page.text
        url = unescape(form[1])
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)"', page.text))
        words = [w for name, value in {**hidden, **more}.items() for w in ("--data-urlencode", f"{name}={value}")]
        url = url if "://" in url else f"{base}{url}"
        sent = self.site.web.ask("POST", url, options=(*self.jar, *words))
        where = sent.headers["location"]
        return self.go(where if "://" in where else f"{base}{where}")

    def arrive(self, theirs: Identity, name: str = "") -> Answer:
        """Click on the provider's button in an app; with a name, log in there and agree."""
        path = "/_matrix/client/v3/login/sso/redirect/oidc-lab"
        page = self.go(f"{self.site.url}{path}?redirectUrl={quote(APP, safe='')}")
        if name:
            page = self.fill(page, theirs.issuer, login=name, password="any")
            page = self.fill(page, theirs.issuer)
        return page


def test_a_person_logs_in_by_a_provider_and_no_more(site: Site, tmp_path: Path) -> None:
    back = json.loads(site.mb("show", "oidc", "--json").stdout)["redirect_uri"]
    client = {"client_id": "matrix", "client_secret": SECRET, "redirect_uris": [back]}
    host, octet = f"sso-{site.guest.debian}", network.HOMES[site.guest.debian][0]
    with identity.provider(site.lab, host, octet, client, PEOPLE) as theirs:
        told = {
            "id": "lab",
            "name": "Ours",
            "issuer": theirs.issuer,
            "client_id": "matrix",
            "require": {"groups": "matrix"},
        }
        site.change({"password_config": {"enabled": False}}, oidc=[{**told, "client_secret_file": FILE}])
        assert f"{FILE} should hold a password" in site.mb("apply", status=1).stderr
        write(site, SECRET)
        assert SECRET not in site.mb("plan", "-v", status=3).stdout
        site.mb("apply")
        assert "1 fine" in site.mb("doctor", "oidc").stdout
        invariants.nothing_to_do(site)
        nora = Visitor(site, tmp_path / "nora")
        assert entered(site, nora.arrive(theirs, "nora")) == f"@nora:{site.server_name}"
        # The provider knows the browser by now.
        assert entered(site, nora.arrive(theirs)) == f"@nora:{site.server_name}"
        stranger = Visitor(site, tmp_path / "eve").arrive(theirs, "eve")
        assert "You are not allowed to log in here" in stranger.text
        without_passwords(site)
        refused(site, nora, theirs)
    without(site)


def write(site: Site, secret: str) -> None:
    site.guest.run(f"umask 077 && cat > {FILE}", input=f"{secret}\n")


def entered(site: Site, page: Answer) -> str:
    """Agree that the app gets in, which then logs in with the token that it is given; whom that makes it."""
    assert page.status == 200, page.text
    link = re.search(rf'href="({re.escape(APP)}\?loginToken=[^"]+)"', page.text)
    assert link, page.text
    token = urlsplit(unescape(link[1])).query.removeprefix("loginToken=")
    body = {"type": "m.login.token", "token": token}
    answer = site.web.ask("POST", f"{site.url}/_matrix/client/v3/login", body)
    assert answer.status == 200, answer.text
    return str(answer.data["user_id"])


def flows(site: Site) -> dict[str, object]:
    return {flow["type"]: flow for flow in site.get("/_matrix/client/v3/login").data["flows"]}


def without_passwords(site: Site) -> None:
    """As docs/how-to/single-sign-on.md has it: nobody logs in by one, and all commands go on working."""
    there = flows(site)
    assert "m.login.password" not in there
    assert there["m.login.sso"]["identity_providers"] == [{"id": "oidc-lab", "name": "Ours"}]  # type: ignore[index]
    site.mb("user", "add", "robot", "--generate")
    site.mb("user", "admin", "nora")
    rows = {row["user"]: row["admin"] for row in json.loads(site.mb("user", "list", "--json").stdout)["users"]}
    assert (rows[f"@nora:{site.server_name}"], rows[f"@robot:{site.server_name}"]) == (True, False)
    body = {"type": "m.login.password", "user": "robot", "password": site.password("robot")}
    assert site.web.ask("POST", f"{site.url}/_matrix/client/v3/login", body).status != 200


def refused(site: Site, visitor: Visitor, theirs: Identity) -> None:
    """Another secret than the provider's: its copy and Synapse are made anew, and both sides say what is wrong."""
    write(site, "not the secret")
    assert site.planned() == {f"file {COPY}", SYNAPSE}
    site.mb("apply")
    said = site.mb("doctor", "oidc", status=3).stdout
    assert "does not take the client_id and its secret" in said
    assert f"into {FILE}" in said
    page = visitor.arrive(theirs)
    assert "client authentication failed" in page.text, page.text
    theirs.stop()
    assert "nothing listens there" in site.mb("doctor", "oidc", status=3).stdout
    journal = site.guest.run("journalctl -b -q -o cat").stdout
    assert SECRET not in journal
    assert "not the secret" not in journal


def without(site: Site) -> None:
    site.change(oidc=None)
    assert site.planned() == {f"file {COPY}", f"file {HOMESERVER}", f"file {DROP_IN}", SYNAPSE}
    site.mb("apply")
    assert site.guest.run(["test", "-e", COPY], check=False).returncode == 1
    assert site.guest.run(["test", "-e", FILE], check=False).returncode == 0
    assert "m.login.sso" not in flows(site)
    invariants.nothing_to_do(site)
    invariants.hold(site)
