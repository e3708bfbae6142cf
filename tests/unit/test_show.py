"""`show` on a folder with a config: pages for people, documents for programs, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import cli, components
from matrix_baremetal.resources import elsewhere
from tests.fakes import MINIMAL, a_site

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a config."""
    file = tmp_path / "etc/matrix-baremetal/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("server_name: example.org\nacme: {email: a@example.org}\n")
    return tmp_path


def shown(root: Path, words: str, capsys: Captured) -> str:
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert cli.main(["--root", str(root), *words.split()]) == 0
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    return out


def document(root: Path, words: str, capsys: Captured) -> Any:
    return json.loads(shown(root, f"{words} --json", capsys))


def test_the_records_of_a_folder_have_no_address_and_say_why(root: Path, capsys: Captured) -> None:
    text = shown(root, "show dns", capsys)
    assert text.splitlines()[0].split() == ["NAME", "TYPE", "VALUE", "FOR"]
    assert "YOUR-PUBLIC-IPV4-ADDRESS" in text
    assert "can't be known from here" in text
    page = document(root, "show dns", capsys)
    assert page["server_name"] == "example.org"
    assert {"name": "example.org", "type": "A", "value": None, "optional": False}.items() <= page["records"][
        1
    ].items()


def test_a_zone_is_nothing_but_lines_for_one(root: Path, capsys: Captured) -> None:
    for line in shown(root, "show dns --zone", capsys).splitlines():
        assert line.startswith(";") or " IN " in line


def test_a_name_that_is_seen_elsewhere_is_left_there(root: Path, capsys: Captured) -> None:
    note = root / f"{elsewhere.NOTES}/example.org".lstrip("/")
    note.parent.mkdir(parents=True)
    documents = components.needs(a_site(MINIMAL)).elsewhere("example.org")
    note.write_text(json.dumps({"documents": json.dumps(documents), "seen": 0}))
    text = shown(root, "show dns", capsys)
    assert "Another web server answers for example.org: its records stay as they are." in text
    assert "\nexample.org " not in text


def test_what_another_web_server_has_to_answer(root: Path, capsys: Captured) -> None:
    text = shown(root, "show well-known", capsys)
    assert 'https://example.org/.well-known/matrix/server\n    {"m.server": "matrix.example.org:443"}' in text
    assert "--for nginx|apache|caddy|static" in text
    page = document(root, "show well-known", capsys)
    assert {each["url"].rpartition("/")[2] for each in page["documents"]} == {"client", "server", "support"}
    assert page["documents"][0]["headers"]["Access-Control-Allow-Origin"] == "*"
    assert page["absent"] == []
    assert "text" not in page
    snippet = shown(root, "show well-known --for nginx", capsys)
    assert document(root, "show well-known --for nginx", capsys)["text"] == snippet


def test_one_name_for_both_needs_no_other_web_server(root: Path, capsys: Captured) -> None:
    (root / "etc/matrix-baremetal/config.yaml").write_text("server_name: a.org\nhostname: a.org\n")
    assert shown(root, "show well-known", capsys).startswith("a.org is this machine (hostname)")


def test_a_document_that_must_not_be_there_is_named(root: Path, capsys: Captured) -> None:
    (root / "etc/matrix-baremetal/config.yaml").write_text("server_name: a.org\nfederation: {delegation: srv}\n")
    assert "https://a.org/.well-known/matrix/server\n    must not be" in shown(root, "show well-known", capsys)
    assert document(root, "show well-known", capsys)["absent"] == ["https://a.org/.well-known/matrix/server"]


def test_the_ports(root: Path, capsys: Captured) -> None:
    text = shown(root, "show ports", capsys)
    assert "in   443/tcp   clients, other servers\n" in text
    assert "8008" not in text
    rows = document(root, "show ports", capsys)["ports"]
    assert {"direction": "out", "port": 8448, "protocol": "tcp", "purpose": "other servers", "last": None} in rows


def test_the_schema_needs_no_config(tmp_path: Path, capsys: Captured) -> None:
    assert "server_name" in json.loads(shown(tmp_path, "show config-schema", capsys))["properties"]
