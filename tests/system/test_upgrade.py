"""From one Synapse to another and back while people talk; one that isn't well gives way; killed anywhere."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.matrix import MatrixError
from tests.system import invariants
from tests.system.site import SYNAPSE, WHEELS, Site
from tests.system.test_crash import Moment, strike

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
OLD, NEW = "1.162.0", "1.163.2"
OPT = "/opt/matrix-baremetal/synapse"
HOWTO = Path(__file__).parents[2] / "docs/how-to/upgrade.md"
UPGRADE = ("matrix-baremetal", "upgrade", "--force", "--wheelhouse", WHEELS)
# In the order of an upgrade.
MOMENTS = (
    Moment("create virtualenv", 0.0),
    Moment("looks at the config", 0.1),
    Moment("read it again", 0.05),
    Moment("update link", 0.0),
    Moment("update link", 0.4),
    Moment("restart matrix-synapse", 0.3),
)
LATER = (
    Moment(seconds=0.3),
    Moment(seconds=2.0),
    Moment(seconds=4.0),
    Moment("read it again", 0.3),
    Moment("update link", 0.8),
    Moment("restart matrix-synapse", 4.0),
)
# A Synapse that does not come to its start.
BREAKING = """[Service]
ExecStartPre=/bin/sh -c 'case $(readlink {opt}/current) in {new}) echo it breaks >&2; exit 9; esac'
"""
# A Synapse that answers, and ends a few seconds later, again and again.
LOOPING = """[Service]
ExecStartPost=-/bin/sh -c 'case $(readlink {opt}/current) in {new}) (sleep 4; kill -KILL $MAINPID) & esac'
"""
# A Synapse that changes the database for good as it starts, and then does not come to its start.
CHANGING = """[Service]
ExecStartPre=+/bin/sh -c 'case $(readlink {opt}/current) in {new}) \
  setpriv --reuid=postgres --regid=postgres --clear-groups \
  psql -qXd matrix-synapse -c "UPDATE schema_compat_version SET compat_version = 9999"; \
  echo it breaks >&2; exit 9; esac'
"""


@contextmanager
def people_talk(site: Site) -> Iterator[list[str]]:
    """bob writes all the while; those of his messages that the server has taken."""
    bob = site.login("bob")
    room = bob.create_room("Upgrading")
    taken, end = list[str](), threading.Event()

    def talk() -> None:
        while not end.is_set():
            text = f"message of {time.monotonic()}"
            try:
                bob.send(room, text)
                taken.append(text)
            except MatrixError:
                # Away, or asked too often: Synapse takes ten at once and then one in five seconds.
                pass
            time.sleep(0.2)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    try:
        yield taken
    finally:
        end.set()
        thread.join(30)
    assert taken
    read = {text for _, text in bob.messages(room)}
    assert set(taken) <= read, f"{len(set(taken) - read)} of {len(taken)} messages that were taken are lost"


def runs(site: Site, version: str) -> None:
    """It is what answers, what is asked for, and what `status` says."""
    answer = site.guest.run(["curl", "-sS", "http://127.0.0.1:8008/_synapse/admin/v1/server_version"]).stdout
    assert json.loads(answer)["server_version"].split()[0] == version
    page = site.status()
    assert (page["versions"]["synapse"], page["faults"]) == (version, [])


def typed(heading: str) -> list[str]:
    """The commands below a heading of the howto."""
    section = HOWTO.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^    (matrix-baremetal \S.*)$", section, re.MULTILINE)


def test_up_and_down_and_what_goes_wrong_on_the_way(site: Site) -> None:
    """One machine through all of it, as each of its states is dear to come to."""
    site.wait_until_it_answers()
    to_the_older_one(site)
    up_and_back(site)
    not_well(site)
    # The worst of them, as each takes half a minute; all of them below.
    killed(site, MOMENTS[-1:])


def to_the_older_one(site: Site) -> None:
    """The howto's commands: nothing is newer, and one that is older, but known, is had by its name."""
    [check] = typed("Is there something newer?")
    assert f"Synapse {NEW} runs here" in site.mb(*check.split()[1:]).stdout
    [plain, older] = typed("Upgrade")
    assert "There is nothing to do" in site.mb(*plain.split()[1:]).stdout
    done = site.mb(*older.split()[1:], "--force", "--wheelhouse", WHEELS)
    assert f"runs Synapse {OLD} now, {NEW} before" in done.stdout
    runs(site, OLD)
    invariants.hold(site)
    done = site.mb(*check.split()[1:], status=3)
    assert f"{NEW}  security release" in done.stdout
    assert "which mends security holes" in site.mb("status").stdout


def up_and_back(site: Site) -> None:
    """While people talk: with a backup and one restart, and back by the howto's command."""
    before = site.runs()
    with people_talk(site) as taken:
        done = site.mb(*UPGRADE[1:])
        many = len(taken)
        assert "before-upgrade/" in done.stdout
        runs(site, NEW)
        [back] = typed("Go back")
        site.mb(*back.split()[1:], "--wheelhouse", WHEELS)
    sys.stderr.write(f"\n{many} messages in the upgrade, {len(taken)} with the way back\n{done.stdout}")
    runs(site, OLD)
    assert site.runs() | {SYNAPSE: ""} == before | {SYNAPSE: ""}
    assert "nothing to go back to" in site.mb(*back.split()[1:], status=1).stderr
    invariants.hold(site)


def not_well(site: Site) -> None:
    """What breaks at its start, and what answers at first: both give way, and the journal is quoted."""
    drop_in = f"/etc/systemd/system/{SYNAPSE}.d/90-test.conf"
    for text, words in ((BREAKING, "it breaks"), (LOOPING, "it ended by itself|answered at first")):
        site.guest.run(["mkdir", "-p", drop_in.rpartition("/")[0]])
        site.guest.write(drop_in, text.format(opt=OPT, new=NEW))
        # The drop-in is taken up with the old one first.
        site.mb("apply")
        began = time.monotonic()
        done = site.mb(*UPGRADE[1:], "--no-backup", status=1)
        sys.stderr.write(f"\n{time.monotonic() - began:.0f} s:\n{done.stdout}{done.stderr}")
        assert f"Synapse {NEW} is not well, so {OLD} is back and answers" in done.stderr
        assert re.search(words, done.stderr), done.stderr
        assert f"going back to {OLD}" in done.stdout
        runs(site, OLD)
        assert site.planned() == set()
        assert NEW not in site.guest.run(["ls", OPT]).stdout
    site.guest.write(drop_in, CHANGING.format(opt=OPT, new=NEW))
    site.mb("apply")
    done = site.mb(*UPGRADE[1:], status=1)
    assert f"Synapse {NEW} is not well, so {OLD} is back and answers" in done.stderr
    [way] = re.findall(r"kept\. When you don't need it: (.*)", done.stdout)
    site.guest.run(way)
    runs(site, OLD)
    site.guest.run(["rm", drop_in])
    site.mb("apply")
    invariants.hold(site)


def killed(site: Site, moments: tuple[Moment, ...]) -> None:
    """At each of these; then `apply` or the same command, in turn, and there is one whole server within a minute."""
    struck = 0
    for number, moment in enumerate(moments):
        if site.status()["versions"]["synapse"] != OLD:
            site.mb("upgrade", "--to", OLD, "--force", "--no-backup", "--wheelhouse", WHEELS)
        struck += strike(site, moment, command=UPGRADE)
        began = time.monotonic()
        site.mb(*(("apply", "--wheelhouse", WHEELS) if number % 2 else UPGRADE[1:]))
        site.wait_until_it_answers(60 - min(50, time.monotonic() - began))
        runs(site, site.status()["versions"]["synapse"])
        invariants.nothing_to_do(site)
        assert invariants.found(site) == []
    assert struck >= max(1, len(moments) - 2)
    invariants.hold(site)


@pytest.mark.long
def test_killed_at_other_moments(site: Site) -> None:
    site.wait_until_it_answers()
    site.mb("upgrade", "--to", OLD, "--force", "--no-backup", "--wheelhouse", WHEELS)
    killed(site, LATER + MOMENTS)


@pytest.mark.long
def test_the_plug_is_pulled(site: Site) -> None:
    site.wait_until_it_answers()
    for number, moment in enumerate(MOMENTS):
        site.mb("upgrade", "--to", OLD, "--force", "--no-backup", "--wheelhouse", WHEELS)
        strike(site, moment, plug=True, command=UPGRADE)
        site.mb(*(("apply", "--wheelhouse", WHEELS) if number % 2 else UPGRADE[1:]))
        site.wait_until_it_answers()
        invariants.hold(site)
