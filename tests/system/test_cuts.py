"""Power cuts and kills at random moments: the same command once more, and all is as it should be.

Each prints its seed; MATRIX_BAREMETAL_SEED=N repeats one run of them, MATRIX_BAREMETAL_CUTS=N makes it N cuts of each
command.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence

import pytest

from tests.system import invariants
from tests.system.people import UNLIMITED, Talk
from tests.system.site import WHEELS, Site
from tests.system.test_crash import COMMAND as INSTALL
from tests.system.test_crash import Moment, sane, strike
from tests.system.test_database import wait_until_ready
from tests.system.test_upgrade import NEW, OLD, UPGRADE

pytestmark = pytest.mark.lab
CUTS = int(os.environ.get("MATRIX_BAREMETAL_CUTS", "30"))
SEED = int(os.environ.get("MATRIX_BAREMETAL_SEED", time.time_ns() % 1_000_000))
BACKUPS = "/var/lib/matrix-baremetal/backups"
FILE = "/root/backup.tar.zst"
BACKUP = ("matrix-baremetal", "backup", "create")
RESTORE = ("matrix-baremetal", "restore", "--yes", "--wheelhouse", WHEELS, FILE)
# The databases that restores set aside would fill the disk, one for each of many.
ASIDE = "SELECT datname FROM pg_database WHERE datname LIKE '%-before-%'"
DROP = f'cd / && psql="runuser -u postgres --" && $psql psql -XAtc "{ASIDE}" | xargs -r -n 1 $psql dropdb'


class Cuts:
    """Moments that nobody chose, and what happened at each."""

    def __init__(self, what: str) -> None:
        self.what, self.chance, self.struck = what, random.Random(f"{SEED} {what}"), 0
        sys.stderr.write(f"\n{what}: MATRIX_BAREMETAL_SEED={SEED}\n")

    def cut(self, site: Site, command: Sequence[str], seconds: float) -> bool:
        """Begin a command, and end it within so many seconds: by a kill, or with all of the machine."""
        moment, plug = Moment(seconds=self.chance.uniform(0.05, seconds)), self.chance.random() < 0.6
        struck = strike(site, moment, plug=plug, command=command)
        self.struck += struck
        how = ("power cut" if plug else "kill") if struck else "too late"
        sys.stderr.write(f"{self.what}, seed {SEED}: {how} {moment.seconds:.3f} s after the start\n")
        return struck


def took(site: Site, command: Sequence[str]) -> float:
    """How long a command takes where nobody cuts it."""
    began = time.monotonic()
    site.mb(*command[1:])
    return time.monotonic() - began


def cut_in_install(site: Site, cuts: Cuts, seconds: float) -> None:
    """From nothing: cut, the same again, and all holds."""
    if cuts.cut(site, INSTALL, seconds):
        sane(site)
    done = site.guest.run(list(INSTALL), check=False)
    site.judged(done, INSTALL, 0)
    site.wait_until_it_answers()
    invariants.hold(site)


def inhabited(site: Site) -> Talk:
    """Neighbours, people, and nobody who is asked to wait."""
    invariants.neighbours(site)
    site.change(settings=UNLIMITED)
    site.mb("apply")
    site.wait_until_it_answers()
    return Talk.of(site)


def cut_in_backups(site: Site, talk: Talk, cuts: Cuts, times: int) -> None:
    """While people talk: what was cut off counts as none, and the next one is whole."""
    seconds = took(site, BACKUP)
    for _ in range(times):
        with talk.going_on():
            cuts.cut(site, BACKUP, seconds)
            come_back(site)
            made = site.mb(*BACKUP[1:]).stdout
            time.sleep(0.3)
        assert "was made and read again" in made
        site.mb("backup", "verify")
        assert site.guest.run(f"ls -A {BACKUPS} | grep -v '[.]zst$'", check=False).stdout == ""
        invariants.hold(site, talk)


def cut_in_restores(site: Site, talk: Talk, cuts: Cuts, times: int) -> None:
    """Back to what was, over what is there: the old rows or the new ones, and after the next run the new."""
    site.guest.run(f"rm -f {BACKUPS}/*.zst && matrix-baremetal backup create && mv {BACKUPS}/*.zst {FILE}")
    said = dict(talk.acknowledged)
    seconds = took(site, RESTORE)
    for number in range(times):
        site.wait_until_it_answers()
        talk.alice.send(talk.room, f"not in the backup: {number}")
        cuts.cut(site, RESTORE, seconds)
        site.guest.run("until /usr/lib/postgresql/*/bin/pg_isready -q; do sleep 0.1; done", timeout=60)
        site.mb(*RESTORE[1:])
        site.wait_until_it_answers()
        texts = [text for _, text in talk.bob.messages(talk.room)]
        assert f"not in the backup: {number}" not in texts, texts
        assert talk.acknowledged == said
        invariants.hold(site, talk)
        site.guest.run(DROP)


def cut_in_upgrades(site: Site, talk: Talk, cuts: Cuts, times: int) -> None:
    """While people talk: the old homeserver or the new one, whole, within a minute of the next command."""
    site.mb("upgrade", "--to", OLD, "--force", "--no-backup", "--wheelhouse", WHEELS)
    seconds = took(site, UPGRADE)
    for number in range(times):
        site.mb("upgrade", "--to", OLD, "--force", "--no-backup", "--wheelhouse", WHEELS)
        site.wait_until_it_answers()
        with talk.going_on():
            cuts.cut(site, UPGRADE, seconds)
            come_back(site)
            began = time.monotonic()
            site.mb(*(("apply", "--wheelhouse", WHEELS) if number % 2 else UPGRADE[1:]))
            site.wait_until_it_answers(60 - min(50, time.monotonic() - began))
            time.sleep(0.3)
        assert site.status()["versions"]["synapse"] in (OLD, NEW)
        invariants.nothing_to_do(site)
        invariants.hold(site, talk)
        site.guest.run(f"rm -f {BACKUPS}/*.zst")


def come_back(site: Site) -> None:
    """After a boot, and where only a command of ours was killed: the homeserver runs without anybody's help."""
    wait_until_ready(site)


@pytest.mark.sampled(13)
def test_one_cut_in_an_install(fresh: Site) -> None:
    """A sample of what follows."""
    cut_in_install(fresh, Cuts("install"), 12)


@pytest.mark.sampled(12)
def test_one_cut_in_a_backup_and_one_in_a_restore(site: Site) -> None:
    """A sample of what follows."""
    talk = inhabited(site)
    with talk.going_on():
        time.sleep(1)
    cut_in_backups(site, talk, Cuts("backup"), 1)
    cut_in_restores(site, talk, Cuts("restore"), 1)


@pytest.mark.long
@pytest.mark.parametrize("number", range(CUTS))
def test_cuts_in_an_install(fresh: Site, number: int) -> None:
    cut_in_install(fresh, Cuts(f"install {number}"), 15)


@pytest.mark.long
def test_cuts_in_backups(site: Site) -> None:
    cuts = Cuts("backups")
    cut_in_backups(site, inhabited(site), cuts, CUTS)
    assert cuts.struck > CUTS // 2


@pytest.mark.long
def test_cuts_in_upgrades(site: Site) -> None:
    cuts = Cuts("upgrades")
    cut_in_upgrades(site, inhabited(site), cuts, CUTS)
    assert cuts.struck > CUTS // 2


@pytest.mark.long
def test_cuts_in_restores(site: Site) -> None:
    cuts, talk = Cuts("restores"), inhabited(site)
    with talk.going_on():
        time.sleep(2)
    cut_in_restores(site, talk, cuts, CUTS)
    assert cuts.struck > CUTS // 2
