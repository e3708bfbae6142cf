"""The page for people who are invited: what it says of each kind of server, and that it loads nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from matrix_baremetal.components.welcome import ROOT
from matrix_baremetal.resources import qr_code
from matrix_baremetal.resources.files import File
from tests.fakes import FakeHost, Machine, a_session


def page(tmp_path: Path, more: str = "") -> str:
    """The page of a site whose config has these keys too."""
    now = a_session(Machine(tmp_path), f"server_name: example.org\n{more}")
    [text] = [r.content for r in now.resources if isinstance(r, File) and r.path == f"{ROOT}/index.html"]
    return text


class Tags(HTMLParser):
    """What a browser would load by itself, and all tags that were left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag begins."""
        found = dict(attrs)
        self.loaded += [v for k, v in attrs if v and (k == "src" or (k == "href" and tag == "link"))]
        assert not {"style", "onclick", "onload"} & set(found), "the policy lets no such thing in"
        if tag not in ("meta", "link", "img", "br", "html"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """A tag ends."""
        assert self.open.pop() == tag


@pytest.mark.parametrize("more", ["", "registration: token\n", "federation: {enabled: false}\n"])
def test_it_loads_nothing_from_elsewhere_and_is_well_formed(more: str, tmp_path: Path) -> None:
    tags = Tags(page(tmp_path, more))
    assert sorted(tags.loaded) == ["/connect.svg", "/style.css"]
    assert tags.open == []


def test_it_says_how_to_get_in(tmp_path: Path) -> None:
    text = page(tmp_path)
    assert "<title>example.org</title>" in text
    assert "https://mobile.element.io/element?account_provider=example.org" in text
    assert "https://matrix.example.org" in text
    assert "with those of other servers" in text
    assert "made by whoever runs" in text
    assert "token" not in text


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("registration: token\n", "If you were given a token"),
        ("federation: {enabled: false}\n", "with nobody else"),
        ("federation: {allow: [friends.org]}\n", "other servers that it knows"),
    ],
)
def test_it_says_what_the_config_says(more: str, said: str, tmp_path: Path) -> None:
    assert said in " ".join(page(tmp_path, more).split())


@pytest.mark.parametrize(("kind", "makes"), [("element", True), ("hydrogen", False)])
def test_it_leads_to_a_web_client_of_ours(kind: str, makes: bool, tmp_path: Path) -> None:
    text = page(tmp_path, f"registration: token\nweb_client: {{kind: {kind}}}\n")
    assert 'href="https://chat.example.org/"' in text
    assert ('href="https://chat.example.org/#/register"' in text) == makes
    assert ("app.element.io" in text) != makes
    assert Tags(text).open == []


def test_the_picture_has_its_white_rim_and_its_three_corners() -> None:
    text = qr_code.svg("https://example.org/")
    size = int(re.findall(r'viewBox="0 0 (\d+)', text)[0])
    dark = {(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1", text)}
    rim, last = qr_code.QUIET, size - qr_code.QUIET - 1
    assert {min(x for x, _ in dark), min(y for _, y in dark)} == {rim}
    assert {max(x for x, _ in dark), max(y for _, y in dark)} == {last}
    for x, y in ((rim, rim), (last - 6, rim), (rim, last - 6)):
        assert {(x + n, y) for n in range(7)} <= dark
        assert (x + 1, y + 1) not in dark


def test_a_picture_that_was_edited_in_another_encoding_is_another(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path))
    wanted = qr_code.QrCode("/etc/a.svg", "https://example.org/")
    wanted.make(host, None)
    assert wanted.find(host) == wanted
    host.machine.at("/etc/a.svg").write_bytes(qr_code.svg("https://example.org/ü").encode("latin-1"))
    assert wanted.find(host) != wanted
