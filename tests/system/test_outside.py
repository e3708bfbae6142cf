"""A finished install, looked at by somebody else on the internet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab import CommandFailed
from tests.matrix import Answer
from tests.system.site import Site

pytestmark = pytest.mark.lab
VERSIONS = "/_matrix/client/versions"
MB = 1024 * 1024


def hardened(answer: Answer) -> bool:
    found = answer.headers
    return (
        found.get("strict-transport-security") == "max-age=63072000" and found["x-content-type-options"] == "nosniff"
    )


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_both_names_have_certificates_that_hold(standing: Site, family: str) -> None:
    for host in (standing.server_name, standing.hostname):
        assert standing.get("/.well-known/matrix/client", host, options=[family]).status in (200, 404)
    asked = f"openssl s_client -connect {standing.hostname}:443 -servername {standing.hostname} {family} </dev/null"
    shown = standing.lab.client(["sh", "-c", f"{asked} 2>&1"]).stdout
    assert "Verify return code: 0 (ok)" in shown
    assert "Pebble" in shown, "not from the certificate authority"
    assert "O = " not in shown.partition("subject=")[2].partition("\n")[0]


def test_a_wrong_name_does_not_hold(standing: Site) -> None:
    with pytest.raises(CommandFailed, match="certificate"):
        standing.get(VERSIONS, f"other.{standing.server_name}")


def test_plain_http_is_sent_on(standing: Site) -> None:
    for host in (standing.server_name, standing.hostname):
        answer = standing.web.ask("GET", f"http://{host}/_matrix/client/versions?a=%2Fb")
        assert answer.status == 301
        assert answer.headers["location"] == f"https://{host}/_matrix/client/versions?a=%2Fb"


def test_http_2_and_1_1_both_work(standing: Site) -> None:
    assert standing.get(VERSIONS).http == "2"
    assert standing.get(VERSIONS, options=["--http1.1"]).http == "1.1"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_current_tls_is_spoken(standing: Site, version: str) -> None:
    answer = standing.get(VERSIONS, options=[f"--tlsv{version}", "--tls-max", version])
    assert answer.status == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_tls_is_refused(standing: Site, version: str) -> None:
    # This machine's own OpenSSL must be willing, or the test would say nothing about the server.
    options = [f"--tlsv{version}", "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0"]
    with pytest.raises(CommandFailed, match="protocol version"):
        standing.get(VERSIONS, options=options)


def test_the_page_for_people_who_are_invited(standing: Site) -> None:
    page = standing.get("/")
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert hardened(page)
    assert f"<code>@name:{standing.server_name}</code>" in page.text
    kinds = {path: standing.get(path).headers["content-type"] for path in ("/style.css", "/connect.svg")}
    assert {path: kind.partition(";")[0] for path, kind in kinds.items()} == {
        "/style.css": "text/css",
        "/connect.svg": "image/svg+xml",
    }
    assert f"account_provider={standing.server_name}<" in standing.get("/connect.svg").text
    # Only there: the server name may be a web site of its own.
    assert standing.get("/", standing.server_name).status == 404
    assert [standing.get(path).status for path in ("/index.html", "/welcome/", "/connect.svg/x")] == [404, 404, 404]


def test_the_well_known_files(standing: Site) -> None:
    expected = {
        "server": {"m.server": f"{standing.hostname}:443"},
        "client": {"m.homeserver": {"base_url": standing.url}},
        "support": {"contacts": [{"email_address": f"admin@{standing.server_name}", "role": "m.role.admin"}]},
    }
    for name, document in expected.items():
        answer = standing.get(f"/.well-known/matrix/{name}", standing.server_name)
        assert answer.status == 200
        assert answer.data == document
        assert answer.headers["content-type"].partition(";")[0] == "application/json"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert hardened(answer)


def test_only_what_is_for_everybody_is_passed_on(standing: Site) -> None:
    for path in (
        "/health",
        "/metrics",
        "/_synapse/admin/v1/server_version",
        "/_synapse/admin/v1/register",
        "/x",
    ):
        answer = standing.get(path)
        assert answer.status == 404, path
        assert "matrix" not in answer.text.lower()
        assert hardened(answer)
    for path in (
        "/_matrix/../_synapse/admin/v1/register",
        "/_matrix/%2e%2e/_synapse/admin/v1/register",
        "//_synapse/admin/",
    ):
        assert standing.get(path).status in (400, 404), path
    for path in ("/", "/_matrix/client/versions"):
        assert standing.get(path, standing.server_name).status == 404
    assert standing.get(VERSIONS).status == 200
    assert standing.get("/_matrix/federation/v1/version").data["server"]["name"] == "Synapse"
    assert hardened(standing.get(VERSIONS))
    server = standing.get("/").headers["server"]
    assert server == "nginx", "its version is nobody's business"


def test_uris_reach_the_homeserver_as_they_were_sent(standing: Site) -> None:
    """A decoded and encoded URI would break the signatures of federation, and room aliases with a slash."""
    for name, path in (("a/b", "%23a%2Fb"), ("a%2Fb", "%23a%252Fb"), ("ä b", "%23%C3%A4%20b")):
        answer = standing.get(f"/_matrix/client/v3/directory/room/{path}%3A{standing.server_name}")
        assert answer.status == 404
        assert answer.data["errcode"] == "M_NOT_FOUND", (name, answer.text)
    answer = standing.get("/_matrix/client/v3/directory/room/a%2Fb")
    assert answer.data["errcode"] == "M_INVALID_PARAM", answer.text


def test_uploads_up_to_the_limit(standing: Site, tmp_path: Path) -> None:
    alice = standing.login("alice")
    for size, expected in ((50 * MB - 1024, 200), (50 * MB + MB, 413)):
        file = tmp_path / "upload"
        with file.open("wb") as sparse:
            sparse.truncate(size)
        answer = standing.web.ask(
            "POST",
            f"{standing.url}/_matrix/media/v3/upload",
            token=alice.token,
            options=["--data-binary", f"@{file}"],
            timeout=120,
        )
        assert answer.status == expected, (size, answer.text[:200])


def test_what_is_for_this_machine_alone_does_not_answer(standing: Site) -> None:
    for address in (standing.guest.ip, f"[{standing.guest.ip6}]"):
        for port in (8008, 5432, 9000):
            command = f"exec 3<>/dev/tcp/{address.strip('[]')}/{port}"
            done = standing.lab.client(["timeout", "3", "bash", "-c", command], check=False)
            assert done.returncode != 0, (address, port)


def test_a_browser_elsewhere_may_use_it(standing: Site) -> None:
    options = ["--header", "Origin: https://app.example", "--header", "Access-Control-Request-Method: POST"]
    answer = standing.web.ask("OPTIONS", f"{standing.url}/_matrix/client/v3/login", options=options)
    assert answer.status in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "*"


def test_nobody_can_register(standing: Site) -> None:
    body = {"username": "mallory", "password": "a-long-password-for-mallory"}
    answer = standing.web.ask("POST", f"{standing.url}/_matrix/client/v3/register", body)
    assert answer.status == 403
    guest = standing.web.ask("POST", f"{standing.url}/_matrix/client/v3/register?kind=guest", {})
    assert guest.status == 403


def test_tokens_stay_out_of_the_access_log(standing: Site) -> None:
    alice = standing.login("alice")
    answer = standing.get(f"/_matrix/client/v3/account/whoami?access_token={alice.token}")
    assert answer.status == 200
    log = standing.guest.read("/var/log/nginx/matrix-baremetal.log")
    assert "/_matrix/client/v3/account/whoami" in log
    assert alice.token not in log
