"""Units: stale when what they read is not what they read at their start, whoever started them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.resources import services
from matrix_baremetal.resources.services import Service
from tests.fake_units import Unit
from tests.fakes import FakeHost, Machine

UNIT = "matrix-synapse.service"
SERVICE = Service(UNIT, reads=("/etc/conf", "/etc/conf.d"))
RELOADING = Service(UNIT, reads=SERVICE.reads, reloads=SERVICE.reads, log="/var/log/error.log")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    """A machine whose service runs, started by us."""
    machine = Machine(tmp_path)
    machine.put("/etc/conf", "one")
    machine.put("/etc/conf.d/a", "one")
    host = FakeHost(machine)
    SERVICE.make(host, None)
    assert SERVICE.find(host) == SERVICE
    machine.started.clear()
    return host


def stale(host: FakeHost, service: Service = SERVICE) -> bool:
    found = service.find(host)
    assert found
    return found.stale


@pytest.mark.parametrize("path", ["/etc/conf", "/etc/conf.d/a", "/etc/conf.d/b"])
def test_a_file_with_another_content_makes_it_stale_and_a_restart_mends_that(path: str, host: FakeHost) -> None:
    host.machine.put(path, "two")
    assert stale(host)
    SERVICE.make(host, SERVICE.find(host))
    assert host.machine.ran("systemctl", "restart", UNIT)
    assert not stale(host)


def test_a_file_with_the_same_content_does_not_however_new_it_is(host: FakeHost) -> None:
    host.machine.put("/etc/conf", "one")
    assert not stale(host)


def test_a_file_with_a_name_of_any_bytes_counts_as_others_do(host: FakeHost) -> None:
    host.machine.put("/etc/conf.d/\udce4", "one")
    assert stale(host)
    SERVICE.make(host, SERVICE.find(host))
    assert not stale(host)


def test_a_link_that_leads_elsewhere_makes_it_stale(host: FakeHost) -> None:
    host.link("/etc/conf", "conf.d/a")
    assert stale(host)


def test_started_by_somebody_else_it_is_stale_only_if_a_file_is_newer_than_its_process(host: FakeHost) -> None:
    time.sleep(0.02)
    host.machine.unit(UNIT).start()
    assert not stale(host)
    time.sleep(0.02)
    host.machine.put("/etc/conf", "one")
    assert stale(host)


def test_a_kill_between_writing_and_reloading_is_seen_by_the_next_run(host: FakeHost) -> None:
    RELOADING.make(host, None)
    host.machine.put("/etc/conf", "two")
    found = RELOADING.find(FakeHost(host.machine))
    assert RELOADING.verb(found) == "reload"
    RELOADING.make(host, found)
    assert host.machine.ran("systemctl", "reload", UNIT)
    assert not host.machine.ran("systemctl", "restart", UNIT)
    assert not stale(host, RELOADING)


def test_where_some_of_what_it_reads_needs_a_restart_that_is_what_it_gets(host: FakeHost) -> None:
    some = Service(UNIT, reads=SERVICE.reads, reloads=("/etc/conf",))
    some.make(host, None)
    one, other = "/etc/conf", "/etc/conf.d/a"
    for paths, verb in (([one], "reload"), ([other], "restart"), ([one, other], "restart")):
        planned = some.stale_after(frozenset(path.removesuffix("/a") for path in paths))
        assert some.verb(planned) == verb
        for path in paths:
            host.machine.put(path, str(time.monotonic()))
        found = some.find(host)
        assert found
        assert (found.stale, some.verb(found)) == (True, verb)
        some.make(host, found)
        assert not stale(host, some)
    host.machine.unit(UNIT).outdated = True
    assert some.verb(some.find(host)) == "restart"
    RELOADING.make(host, None)
    host.machine.unit(UNIT).outdated = True
    assert RELOADING.verb(RELOADING.find(host)) == "reload"


def test_what_is_stale_for_good_reason_is_not_made_light_by_what_comes_after() -> None:
    some = Service(UNIT, reads=("/a", "/b"), reloads=("/b",))
    assert some.stale_after(frozenset({"/a"})).stale_after(frozenset({"/b"})).light is False
    assert some.stale_after(frozenset({"/b"})).stale_after(frozenset({"/b"})).light is True
    assert some.stale_after(frozenset({"/c"})) == some


def test_a_unit_file_that_systemd_has_not_read_makes_it_stale_and_is_read(host: FakeHost) -> None:
    host.machine.unit(UNIT).outdated = True
    assert stale(host)
    SERVICE.make(host, SERVICE.find(host))
    assert not stale(host)


def test_one_that_is_only_not_enabled_is_enabled_and_not_restarted(host: FakeHost) -> None:
    host.machine.unit(UNIT).enabled = False
    found = SERVICE.find(host)
    assert SERVICE.verb(found) == "enable"
    SERVICE.make(host, found)
    assert SERVICE.find(host) == SERVICE
    assert not any(host.machine.ran("systemctl", verb) for verb in ("start", "restart", "reload"))


def test_one_that_is_down_is_started_and_not_called_stale(host: FakeHost) -> None:
    host.machine.unit(UNIT).active = False
    host.machine.put("/etc/conf", "two")
    found = SERVICE.find(host)
    assert found
    assert (found.active, found.stale, SERVICE.verb(found)) == (False, False, "start")


def test_one_that_would_not_start_is_told_with_its_last_lines(host: FakeHost) -> None:
    host.machine.unit(UNIT).active = False
    host.machine.unit(UNIT).broken = True
    with pytest.raises(Error, match=f"{UNIT} would not start; its last lines are:\nlast words of {UNIT}"):
        SERVICE.make(host, SERVICE.find(host))
    assert not stale(host)


def test_a_reload_that_is_not_taken_up_is_told_with_the_logs_and_tried_again_by_the_next_run(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "TAKEN_UP", 0.1)
    RELOADING.make(host, None)
    host.machine.put("/etc/conf", "two")
    host.machine.put("/var/log/error.log", "older\n1\n2\n3\nbind() to 0.0.0.0:80 failed\n")
    host.machine.unit(UNIT).deaf = True
    before, stamp = host.machine.unit(UNIT).invocation, host.text(SERVICE.stamp)
    with pytest.raises(Error, match=f"{UNIT} would not reload, and runs on as it was") as caught:
        RELOADING.make(host, RELOADING.find(host))
    assert f"last words of {UNIT}\n1\n2\n3\nbind() to 0.0.0.0:80 failed" in caught.value.message
    assert host.machine.unit(UNIT).invocation == before
    assert host.text(SERVICE.stamp) == stamp
    assert stale(host, RELOADING)
    host.machine.unit(UNIT).deaf = False
    RELOADING.make(host, RELOADING.find(host))
    assert not stale(host, RELOADING)


class Slow(Machine):
    """A machine whose processes come a while after the reload has returned."""

    looks = 0

    def _work(self, unit: Unit) -> None:
        self.looks += 1
        late, unit.reloads = unit.reloads, unit.reloads if self.looks > 4 else 0
        super()._work(unit)
        unit.reloads = late


def test_new_workers_are_waited_for(tmp_path: Path) -> None:
    machine = Slow(tmp_path)
    machine.put("/etc/conf", "one")
    host = FakeHost(machine)
    RELOADING.make(host, None)
    machine.put("/etc/conf", "two")
    RELOADING.make(host, RELOADING.find(host))
    assert machine.looks == 5
    assert not stale(host, RELOADING)


def test_a_reload_that_systemd_refuses_is_told_as_well(host: FakeHost) -> None:
    RELOADING.make(host, None)
    host.machine.put("/etc/conf", "two")
    host.machine.unit(UNIT).broken = True
    with pytest.raises(Error, match=f"{UNIT} would not reload, and runs on as it was"):
        RELOADING.make(host, RELOADING.find(host))
    assert stale(host, RELOADING)


def test_one_that_systemd_does_not_know_is_not_there(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path, packages=()))
    assert Service("nginx.service").find(host) is None


def test_what_nobody_asks_for_any_more_is_stopped_if_it_is_ours_and_else_only_forgotten(host: FakeHost) -> None:
    manifest = Manifest()
    manifest.settle(Service("nginx.service"))
    manifest.settle(SERVICE)
    ended = [(change.verb, change.name) for change in converge((), host, manifest) if change.ended]
    assert ended == [("remove", UNIT), ("forget", "nginx.service")]
    assert (host.machine.unit(UNIT).active, host.machine.unit(UNIT).enabled) == (False, False)
    assert (host.machine.unit("nginx.service").active, host.machine.unit("nginx.service").enabled) == (True, True)
