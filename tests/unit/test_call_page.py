"""Element Call as a page: with whom it may speak, what it is told, which names it can't have, and how it goes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import components, config
from matrix_baremetal.components.call_page import ROOT
from matrix_baremetal.components.nginx import CONFIG
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.dns_records import records
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.resources.files import File
from tests.check_breaks import CALLS, a_machine, found, web
from tests.fake_releases import CALL_PAGE, CALL_PAGE_URL, sha256
from tests.fakes import MINIMAL, FakeHost, Machine, a_session, a_site
from tests.unit.test_admin_ui import locations

NAME = "call.example.org"
RELEASE = f"release: {{url: {CALL_PAGE_URL}, sha256: {sha256(CALL_PAGE)}}}"


def with_page(more: str = "") -> str:
    """A config that has it; `more` stands beside its release."""
    return MINIMAL + CALLS.replace("{element_call", f"{{page: {{{RELEASE}{more}}}, element_call")


ON = with_page()


def policy(text: str) -> dict[str, list[str]]:
    """What a browser is told that it may do, the same wherever it looks."""
    parts = locations(text, NAME)
    served = [part for part in parts.values() if "return 404" not in part]
    [found] = {each for part in served for each in re.findall(r'Content-Security-Policy "(.*)" always', part)}
    assert all("Content-Security-Policy" in part for part in served)
    rules = (rule.split() for rule in found.split(";"))
    return {name: words for name, *words in rules}


def test_it_speaks_with_this_homeserver_and_with_those_that_carry_calls_and_nobody_else() -> None:
    """A link can name another homeserver (`homeserver=…`), which would be sent the password."""
    ours = ["https://matrix.example.org", "https://matrix-rtc.example.org", "wss://matrix-rtc.example.org"]
    own = ["'self'", "blob:", "data:"]
    assert policy(ON)["connect-src"] == own + ours
    theirs = ["https://rtc.example.net", "wss://rtc.example.net"]
    assert policy(with_page(", others: [rtc.example.net]"))["connect-src"] == own + ours + theirs
    assert policy(ON)["default-src"] == ["'none'"]
    assert not [word for words in policy(ON).values() for word in words if word in ("*", "https:", "wss:", "http:")]


def test_it_is_told_of_this_homeserver_and_of_nobodys_statistics() -> None:
    [text] = [r.content for r in components.resources(a_site(ON)) if isinstance(r, File) and ROOT in r.path]
    made: dict[str, Any] = json.loads(text)
    homeserver = {"base_url": "https://matrix.example.org", "server_name": "example.org"}
    assert made["default_server_config"] == {"m.homeserver": homeserver}
    assert made["livekit"] == {"livekit_service_url": "https://matrix-rtc.example.org/livekit/jwt"}
    assert not {"posthog", "sentry", "rageshake", "opentelemetry"} & set(made)


def test_a_path_that_no_file_stands_for_is_the_page_and_what_a_homeserver_answers_is_not() -> None:
    parts = locations(ON, NAME)
    closed = r"~ ^/(_matrix|_synapse|\.well-known)/"
    assert list(parts) == ["= /config.json", '~ "^/assets/"', closed, "/"]
    assert "return 404;" in parts[closed]
    assert "try_files $uri /index.html =404;" in parts["/"]
    assert "add_header Cache-Control no-cache always;" in parts["/"]
    assert "try_files" not in parts['~ "^/assets/"']
    assert "immutable" in parts['~ "^/assets/"']


def test_its_name_is_told() -> None:
    site = a_site(ON)
    purposes = {record.name: record.purpose for record in records(site, components.needs(site), ("203.0.113.7",))}
    assert purposes[NAME] == "the page for group calls"
    assert purposes["matrix-rtc.example.org"] == "group calls"
    assert config.decode(with_page(", hostname: talk.example.org"), "c").page_hostname == "talk.example.org"


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.decode(text, "c.yaml")
    return f"{caught.value.message} {caught.value.hint}"


def test_without_a_release_it_says_how_to_come_by_one() -> None:
    said = refused(ON.replace(RELEASE, "hostname: talk.example.org"))
    assert "c.yaml:3:" in said
    assert "calls.page: nobody whom this release could ask publishes the hash of Element Call's archive" in said
    assert "element-call/releases/download/vX.Y.Z/element-call-X.Y.Z.tar.gz, run sha256sum on it" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{MINIMAL}calls: {{page: {{{RELEASE}}}}}\n", "calls.page: means nothing without element_call: true"),
        (with_page(", other: []"), "(did you mean others?)"),
        (with_page(", others: ['*']"), "calls.page.others[0]"),
        (with_page(', others: ["a.b; script-src *"]'), "calls.page.others[0]"),
        (with_page(", hostname: 'https://call.example.org'"), "calls.page.hostname"),
    ],
)
def test_a_mistake_names_its_key(text: str, said: str) -> None:
    assert said in refused(text)


@pytest.mark.parametrize(
    ("hostname", "more"),
    [
        ("example.org", ""),
        ("matrix.example.org", ""),
        ("matrix-rtc.example.org", ""),
        ("chat.example.org", "web_client: {kind: element}\n"),
        ("admin.example.org", "admin_ui: {enabled: true}\n"),
        ("meet.example.org", ""),
    ],
)
def test_it_shares_its_name_with_nothing(hostname: str, more: str) -> None:
    text = with_page(f", hostname: {hostname}") + more
    text = text.replace("{page", "{jitsi: self-hosted, page") if "meet" in hostname else text
    assert "calls.page.hostname: a page for calls on a name that serves something else" in refused(text)


def test_a_name_that_the_homeserver_had_is_none_for_a_program_for_browsers() -> None:
    for text, name in ((ON, NAME), (f"{MINIMAL}web_client: {{kind: element}}\n", "chat.example.org")):
        said = refused(f"{text}former_hostnames: [{name}]\n")
        assert f"former_hostnames[0]: {name} is not former: a program for browsers answers to it" in said


def test_it_comes_stays_and_goes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)

    def bring(text: str) -> list[str]:
        now = a_session(machine, text)
        return [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]

    bring(MINIMAL + CALLS)
    before = machine.tree()
    now = a_session(machine, ON)
    release = f"element-call {sha256(CALL_PAGE)[:12]}"
    assert release in {change.title for change in plan(now.resources, now.host, now.manifest)}
    bring(ON)
    assert machine.at("/opt/matrix-baremetal/element-call/current/files/index.html").exists()
    assert bring(ON) == []
    bring(MINIMAL + CALLS)
    left = set(machine.tree()) - set(before)
    assert not [path for path in left if "tls/" not in path and "stamp" not in path and "letsencrypt" not in path]
    assert NAME not in (FakeHost(machine).text(CONFIG) or "")


def test_where_the_release_is_not_to_be_had_the_rest_is_made(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    del machine.downloads[CALL_PAGE_URL]
    now = a_session(machine, ON)
    ended = {c.title: c for c in converge(now.resources, now.host, now.manifest) if c.ended}
    assert ended[f"element-call {sha256(CALL_PAGE)[:12]}"].outcome == "pending"
    assert {c.outcome for c in ended.values()} == {"done", "pending"}


def test_doctor_asks_for_it(tmp_path: Path) -> None:
    machine = a_machine(tmp_path, ON)
    assert found(machine, ON)[f"web.program.{NAME}"].state == "pass"
    web(f"https://{NAME}/", status=404)(machine)
    assert found(machine, ON)[f"web.program.{NAME}"].state == "fail"
