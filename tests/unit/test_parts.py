"""Programs beside Synapse of which another version is here: who is told, and that an upgrade brings them."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import parts, status
from matrix_baremetal.checks.parts import Parts
from matrix_baremetal.commands import status as page
from matrix_baremetal.commands import upgrade as command
from matrix_baremetal.converge import converge
from matrix_baremetal.parts import Other
from matrix_baremetal.session import Session
from tests.fake_releases import archive, sha256
from tests.fakes import MINIMAL, Machine, a_homeserver, a_session

BRIDGE = "bridges: {irc: {enabled: true, owner: alice}}\n"
ELEMENT = f"{MINIMAL}{BRIDGE}web_client: {{kind: element}}\n"
IRC = "/opt/matrix-baremetal/bridges/irc"
BEFORE = archive({"element-v0/index.html": b"<html>The one before"})
URL = "https://mirror.example.net/element.tar.gz"
OTHER = Other("element", sha256(BEFORE)[:12], "1.12.25")


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A homeserver with a web client of before, and what this release would bring."""
    machine = Machine(tmp_path)
    machine.downloads[URL] = BEFORE
    release = f"{{url: '{URL}', sha256: {sha256(BEFORE)}}}"
    a_homeserver(machine, ELEMENT.replace("kind: element", f"kind: element, release: {release}"))
    return a_session(machine, ELEMENT)


def test_another_version_is_named_until_it_has_come(now: Session) -> None:
    assert parts.others(now.resources, now.host) == (OTHER,)
    list(converge(now.resources, now.host, now.manifest))
    assert parts.others(now.resources, now.host) == ()
    now.host.link(f"{IRC}/current", "1.0")
    assert parts.others(now.resources, now.host) == (Other("irc", "1.0", now.site.versions.heisenbridge.version),)


def test_one_that_is_not_here_yet_is_no_other_version(now: Session) -> None:
    now.host.remove("/opt/matrix-baremetal/element/current")
    assert parts.others(now.resources, now.host) == ()
    assert Parts(now.resources).look(now.host).state == "fail"


def test_each_page_names_it_and_the_next_command(now: Session, capsys: pytest.CaptureFixture[str]) -> None:
    said = f"element 1.12.25 ({OTHER.runs} runs here) is there: matrix-baremetal upgrade"
    assert parts.sentence(parts.others(now.resources, now.host)) == said
    assert parts.sentence(()) == ""
    seen = status.read(now)
    assert seen.parts == [{"name": "element", "runs": OTHER.runs, "comes": "1.12.25"}]
    page.page(now, seen)
    assert said in capsys.readouterr().out
    command.looked(now, [])
    out = capsys.readouterr().out
    assert f"  element 1.12.25  {OTHER.runs} runs here" in out
    assert out.splitlines()[-1] == "To have it: matrix-baremetal upgrade"
    assert command.outlook(now, [])["parts"] == seen.parts
    finding = Parts(now.resources).look(now.host)
    assert (finding.state, finding.next) == ("info", "matrix-baremetal upgrade")
    assert finding.message == f"another release is there: element 1.12.25 ({OTHER.runs} runs here)"


def test_an_upgrade_brings_it_with_all_that_goes_with_it(now: Session, capsys: pytest.CaptureFixture[str]) -> None:
    changes = command.parts_beside(now, quiet=True)
    assert ["element 1.12.25", "done"] in [[change.title, change.outcome] for change in changes]
    assert now.host.text("/opt/matrix-baremetal/element/current/files/index.html") == "<html>Element"
    assert command.parts_beside(now, quiet=True) == []


def test_what_apply_would_refuse_is_in_the_way_while_a_part_is_to_come(now: Session) -> None:
    assert command.in_the_way_of_parts(now) == []
    now.host.write("/etc/matrix-synapse/other.signing.key", "", 0o600)
    [obstacle] = command.in_the_way_of_parts(now)
    assert obstacle.message.startswith("there is another Synapse here")
    list(converge(now.resources, now.host, now.manifest))
    assert command.in_the_way_of_parts(now) == [], "none is to come, and Synapse's own upgrade looks for itself"


def test_what_differs_otherwise_waits_for_apply(now: Session) -> None:
    """A part's program goes with its config, so where one comes all is brought; where none comes nothing is."""
    list(converge(now.resources, now.host, now.manifest))
    now.host.write("/etc/matrix-synapse/log.yaml", "version: 2\n", 0o644)
    assert command.parts_beside(now, quiet=True) == []
    assert now.host.text("/etc/matrix-synapse/log.yaml") == "version: 2\n"
