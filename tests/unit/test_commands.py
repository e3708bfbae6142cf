"""What commands do with a session, below the words of the command line."""

from __future__ import annotations

import json
import os
import signal
import time
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import cli, session
from matrix_baremetal.commands import apply, certificates, install
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.resources import firstboot
from matrix_baremetal.resources.pending import PENDING
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Result
from matrix_baremetal.signals import ASKED, Stopped, stoppable
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver, a_session

Captured = pytest.CaptureFixture[str]


class Interrupted(Machine):
    """A machine on which somebody asks us to stop while openssl runs, once: the second time would end the tests."""

    signal: signal.Signals | None = None

    def start(self, argv: tuple[str, ...], input: str | None, env: dict[str, str]) -> Result:
        """Start a program."""
        if argv[:2] == ("openssl", "req") and self.signal:
            os.kill(os.getpid(), self.signal)
            self.signal = None
        return super().start(argv, input, env)


@pytest.fixture
def now(tmp_path: Path) -> Session:
    """A session on a machine after an install."""
    return a_homeserver(Machine(tmp_path))


def the_machine(now: Session) -> Machine:
    assert isinstance(now.host, FakeHost)
    return now.host.machine


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_asked_to_stop_the_step_under_way_ends_whole_and_no_other_begins(
    number: signal.Signals, status: int, tmp_path: Path, capsys: Captured
) -> None:
    machine = Interrupted(tmp_path)
    machine.signal = number
    machine.users.append("matrix-synapse")
    before = [signal.getsignal(each) for each in ASKED]
    first = a_session(machine, host=FakeHost(machine, live=False))
    with pytest.raises(Stopped) as caught:
        apply.bring(first, json=False, quiet=False)
    assert caught.value.status == status
    assert caught.value.hint
    assert "self-signed certificate for matrix.example.org" in capsys.readouterr().out.splitlines()[-1]
    assert machine.at("/etc/matrix-baremetal/tls/matrix.example.org/current").is_symlink()
    assert not machine.at("/etc/matrix-baremetal/tls/example.org/self-signed").exists()
    assert [signal.getsignal(each) for each in ASKED] == before


def test_nobody_asked_is_nothing_to_heed() -> None:
    with stoppable() as stop:
        stop.heed()


def test_an_apply_over_what_is_as_it_should_be_changes_nothing_and_needs_no_preflight(now: Session) -> None:
    now.manifest.server_name = "example.org"
    the_machine(now).superuser = False
    assert apply.bring(now, json=False, quiet=False) == []


@pytest.mark.parametrize(("wait", "due"), [(-1, True), (3600, False)])
def test_the_timer_tries_what_is_due_and_what_is_served(wait: int, due: bool, now: Session) -> None:
    machine = the_machine(now)
    machine.put(session.CONFIG, MINIMAL)
    machine.put(f"{PENDING}/example.org", json.dumps({"next": time.time() + wait}))
    keys = [resource.key for resource in certificates.due(Namespace(root=str(machine.root), config=None))]
    assert (("Certificate", "example.org") in keys) == due
    assert ("Certificate", "matrix.example.org") not in keys
    assert {kind for kind, _ in keys} - {"Certificate"} == {"Served"}


def test_the_timer_looks_at_the_operators_own_pair_each_time(now: Session) -> None:
    machine = the_machine(now)
    machine.put(session.CONFIG, "server_name: a.org\ntls: {mode: files, certificate: /srv/a.pem, key: /srv/a.key}\n")
    kinds = [resource.key[0] for resource in certificates.due(Namespace(root=str(machine.root), config=None))]
    assert kinds == ["KeyPair", "Served", "KeyPair", "Served", "Served", "Served"]


def test_a_renewal_is_served_by_what_is_on_the_disk_and_no_config_is_read(now: Session) -> None:
    machine = the_machine(now)
    machine.put(session.CONFIG, "{ not: [yaml")
    [reader] = certificates.readers(now.host)
    assert reader == next(r for r in now.resources if r.key == ("Service", "nginx.service"))
    assert list(converge((reader,), now.host, now.manifest, whole=False)) == []
    machine.certificate("/etc/letsencrypt/live/matrix-baremetal-example.org", ["example.org"])
    [done] = [c for c in converge((reader,), now.host, now.manifest, whole=False) if c.ended]
    assert (done.verb, done.name) == ("reload", "nginx.service")
    assert machine.unit("nginx.service").reloads >= 1


def test_the_hook_goes_well_where_there_is_no_config(tmp_path: Path) -> None:
    assert certificates.run(Namespace(root=str(tmp_path), config=None, action="deploy", quiet=True)) == 0


def test_an_install_that_ended_carries_out_the_order_to_set_the_machine_up(now: Session) -> None:
    machine = the_machine(now)
    machine.started.clear()
    firstboot.carried_out(now.host)
    assert machine.started == []
    machine.put(firstboot.ORDER, "")
    firstboot.carried_out(now.host)
    assert [s.argv for s in machine.started if s.argv[0] == "systemctl"] == [
        ("systemctl", "disable", "--quiet", firstboot.UNIT)
    ]


def test_the_first_administrator_of_an_install_is_made_once(now: Session) -> None:
    place = {"@alice:example.org": "/etc/matrix-baremetal/secrets/passwords/alice"}
    assert install.administrators(now, "alice") == place
    assert install.administrators(now, "alice") == place
    assert list(the_machine(now).passwords) == ["alice"]


@pytest.mark.parametrize("name", ["example.org", None])
def test_words_that_say_the_same_as_the_config_are_fine(name: str | None, tmp_path: Path) -> None:
    now = a_session(Machine(tmp_path))
    install.same_name(now, Namespace(server_name=name, config=None, root=str(tmp_path)))


def test_words_that_contradict_the_config_are_refused(tmp_path: Path) -> None:
    now = a_session(Machine(tmp_path))
    with pytest.raises(Error, match=r"says server_name: example\.org, and --server-name says other\.org") as caught:
        install.same_name(now, Namespace(server_name="other.org", config=None, root=str(tmp_path)))
    assert caught.value.status == 2


def test_a_signing_key_that_is_gone_is_never_made_anew(now: Session) -> None:
    machine = the_machine(now)
    key = CREDENTIALS["signing_key"]
    old = machine.at(key).read_text()
    machine.at(key).unlink()
    before = machine.tree()
    machine.started.clear()
    for attempt in (plan, converge):
        again = a_session(machine)
        with pytest.raises(Error, match=f"{key} should hold a secret and is gone"):
            list(attempt(again.resources, again.host, again.manifest))
    assert machine.tree() == before
    assert machine.changing() == []
    machine.put(key, old, 0o600)
    again = a_session(machine)
    assert list(plan(again.resources, again.host, again.manifest)) == []


def test_who_was_asked_sees_the_dns_records_and_the_plan_in_short(tmp_path: Path) -> None:
    fresh = a_session(Machine(tmp_path))
    said = install.introduction(fresh)
    assert "matrix.example.org  A" in said
    rows = dict(line.split(None, 1) for line in said.splitlines() if line.startswith("  ") and line.split()[1:])
    assert rows["postgres"] == "2 files, 1 directory, 1 unit, 1 role, 1 database"
    assert rows["certificates"].startswith("2 certificates, ")
    assert "1 virtualenv" in rows["synapse"]


@pytest.mark.parametrize("place", ["file/config.yaml", "a" * 300])
def test_a_config_that_can_not_be_there_is_a_sentence(place: str, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["--config", str(tmp_path / place), "init", "--server-name", "example.org", "--yes"]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / place) in said
    assert "next: " in said


def test_a_folder_that_can_hold_no_lock_is_a_sentence(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "run").write_text("")
    assert cli.main(["--root", str(tmp_path), "apply"]) == 1
    assert "cannot write /run/lock/" in capsys.readouterr().err
