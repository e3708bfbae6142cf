"""Each check: fine on a sound machine, and its own finding for each way to break what it looks at."""

from __future__ import annotations

import copy
import json
import re
import shutil
import time
from pathlib import Path

import pytest

from matrix_baremetal.checks.check import Check, documented
from matrix_baremetal.checks.together import together
from matrix_baremetal.commands import doctor as command
from matrix_baremetal.doctor import examine
from tests.check_breaks import HOME, HOST, KEY, SITE, Case, a_machine, found, record
from tests.check_cases import CASES
from tests.fake_web import OWN
from tests.fakes import MINIMAL, Machine, a_session

# What may be run with nobody's thought: it loses nothing, and may be run again.
HARMLESS = (
    r"matrix-baremetal (apply|backup create)|systemctl (start|restart|reload) [\w@.-]+|chmod 755 /[\w/-]+"
    r"|timedatectl set-ntp true"
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine after an install, which costs more than a copy of it."""
    return a_machine(tmp_path_factory.mktemp("sound"), SITE)


@pytest.fixture
def machine(sound: Machine, tmp_path: Path) -> Machine:
    """A copy of it, to be broken."""
    copied = copy.deepcopy(sound)
    copied.root = tmp_path / "machine"
    shutil.copytree(sound.root, copied.root, symlinks=True)
    return copied


def test_a_sound_machine_has_nothing_but_passes_and_is_only_looked_at(machine: Machine) -> None:
    before = machine.tree()
    seen = found(machine)
    assert {id: (f.state, f.message, f.evidence) for id, f in seen.items() if f.state != "pass"} == {}
    assert len(seen) > 80
    assert machine.tree() == before
    assert machine.changing() == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.id}: {case.says}")
def test_what_is_broken_is_found_under_its_own_id(case: Case, machine: Machine) -> None:
    case.broken(machine)
    finding = found(machine)[case.id]
    assert (finding.state, case.says in finding.message) == (case.state, True), finding
    assert finding.next or case.state == "info", "no next command"
    assert not finding.fix or re.fullmatch(HARMLESS, finding.fix), finding.fix


def test_every_kind_of_check_is_broken_here() -> None:
    forms = {kind: documented(kind) for kind in Check.kinds if kind.__module__.startswith("matrix_baremetal.")}
    begins = {kind: form.split(".{")[0] for kind, form in ((kind, kind.form) for kind in forms)}
    tried = {case.id for case in CASES} | {"config", "certificates.credentials", "mail.server", "metrics.synapse"}
    tried |= {"outside.", "ldap.server"}  # tests/unit/test_outside.py, tests/unit/test_ldap.py
    untried = [
        form
        for kind, form in forms.items()
        if not any(id == begins[kind] or id.startswith(begins[kind]) for id in tried)
    ]
    assert untried == []


def test_ids_are_unique_stable_and_all_come_after_checks_that_ask_first(machine: Machine) -> None:
    checks = command.of(a_session(machine, SITE))
    ids = [check.id for check in checks]
    assert len(ids) == len(set(ids))
    local = {check.id for check in checks if not check.remote}
    for place, check in enumerate(checks):
        for id in check.after:
            assert id in local, f"{check.id} comes after {id}"
            assert check.remote or ids.index(id) < place, f"{check.id} is asked before {id}"


def test_one_cause_is_one_fault(machine: Machine) -> None:
    machine.unit("nginx.service").active = False
    seen = found(machine)
    assert [id for id, f in seen.items() if f.state == "fail"] == ["units.nginx"]
    of_nginx = {id: f for id, f in seen.items() if id.startswith(("web.", "tls.", "ports.443")) and "5349" not in id}
    assert {f.message for f in of_nginx.values()} == {"see units.nginx"}


def test_the_relay_goes_on_without_the_web_server_and_is_one_fault_too(machine: Machine) -> None:
    machine.unit("matrix-turn.service").active = False
    seen = found(machine)
    assert [id for id, f in seen.items() if f.state == "fail"] == ["units.matrix-turn"]
    assert {f.message for id, f in seen.items() if id.startswith("turn.")} == {"see units.matrix-turn"}
    assert seen[f"tls.{HOST}:5349"].message == "see units.matrix-turn"


def test_a_database_that_is_down_is_named_once(machine: Machine) -> None:
    machine.unit("postgresql@15-main.service").active = False
    seen = found(machine)
    faults = [id for id, f in seen.items() if f.state == "fail"]
    assert faults == ["units.postgresql@15-main"]
    assert seen["synapse.ready"].message == seen["database.writable.matrix-synapse"].message == f"see {faults[0]}"


def test_a_secret_that_is_gone_does_not_hide_what_else_has_drifted(machine: Machine) -> None:
    machine.at(KEY).unlink()
    machine.put("/etc/matrix-synapse/log.yaml", "version: 2\n")
    finding = found(machine)["drift"]
    assert finding.message.startswith("2 things are")
    assert any("should hold a secret and is gone" in line for line in finding.evidence)
    assert "  -version: 2" in finding.evidence


def test_an_address_behind_a_router_is_told_and_no_fault(machine: Machine) -> None:
    machine.addressed("192.168.1.9")
    seen = found(machine)
    assert (seen[f"dns.a.{HOST}"].state, seen["network.addresses"].state) == ("info", "info")
    assert seen["well-known.server"].state == "pass"


def test_a_name_without_any_address_is_one_fault_before_what_comes_of_it(machine: Machine) -> None:
    for kind in ("A", "AAAA"):
        record(HOME, kind)(machine)
    seen = found(machine)
    assert [id for id, f in seen.items() if f.state == "fail"] == [f"dns.a.{HOME}", "federation.discovery"]
    assert seen["well-known.server"].message == f"see dns.a.{HOME}"


def test_before_an_install_only_what_makes_sense_is_asked(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.addressed(*OWN)
    seen = found(machine)
    assert [id for id, f in seen.items() if f.state == "fail"] == ["installed"]
    assert f"dns.a.{HOST}" in seen
    assert not any(id.startswith(("units.", "database.", "web.")) for id in seen)


def test_a_self_signed_site_is_sound_where_that_was_asked_for(tmp_path: Path) -> None:
    text = "server_name: example.org\ntls: {mode: self-signed}\n"
    seen = found(a_machine(tmp_path, text), text)
    assert [id for id, f in seen.items() if f.state in ("fail", "warn")] == []
    assert seen[f"certificates.{HOME}"].state == "info"


def test_a_site_without_federation_is_not_asked_for_it(tmp_path: Path) -> None:
    text = "server_name: example.org\nfederation: {enabled: false}\n"
    seen = found(a_machine(tmp_path, text), text)
    assert not any(id.startswith("federation.") for id in seen)
    assert "well-known.server" not in seen
    assert "well-known.client" in seen


def test_no_secret_is_in_a_finding(machine: Machine) -> None:
    texts = [
        machine.at(f"/etc/matrix-baremetal/secrets/{n}").read_text() for n in ("form_secret", "macaroon_secret_key")
    ]
    texts.append(machine.at(KEY).read_text().split()[2])
    for case in CASES:
        if case.id in ("federation.key", "drift", "synapse.secrets") and "lost" not in case.broken.__qualname__:
            case.broken(machine)
    said = json.dumps([[f.message, f.evidence, f.next] for f in found(machine).values()])
    assert not any(text in said for text in texts)


def test_all_of_it_takes_no_time_where_nobody_makes_it_wait(machine: Machine) -> None:
    began = time.monotonic()
    found(machine)
    assert time.monotonic() - began < 5


def test_credentials_that_a_renewal_needs_are_missed(tmp_path: Path) -> None:
    text = MINIMAL.replace("}", ", challenge: dns-01, dns_plugin: rfc2136}")
    machine = a_machine(tmp_path, text)
    assert found(machine, text)["certificates.credentials"].state == "fail"
    machine.put("/etc/matrix-baremetal/secrets/dns-rfc2136", "a = b\n", 0o600)
    assert found(machine, text)["certificates.credentials"].state == "pass"
    assert not any(id.startswith("web.acme.") for id in found(machine, text))


def test_a_pair_of_ones_own_is_sound_while_it_is_served(tmp_path: Path) -> None:
    text = (
        "server_name: example.org\ntls: {mode: files, certificate: /srv/t/fullchain.pem, key: /srv/t/privkey.pem}\n"
    )
    machine = Machine(tmp_path)
    machine.certificate("/srv/t", [HOME, HOST])
    machine = a_machine(tmp_path, text, machine)
    seen = found(machine, text)
    assert [id for id, f in seen.items() if f.state in ("fail", "warn")] == []
    machine.certificate("/srv/t", [HOME, HOST], 80)
    held = found(machine, text)[f"certificates.{HOME}"]
    assert (held.state, "/srv/t/fullchain.pem is not served yet" in held.message) == ("fail", True)


@pytest.mark.parametrize("way", ["srv", "none"])
def test_each_way_of_being_found_is_asked_for_and_ids_stay_unique(way: str, tmp_path: Path) -> None:
    text = f"{MINIMAL}federation: {{delegation: {way}}}\n"
    asked = command.of(a_session(a_machine(tmp_path, text), text))
    checks = {check.id: check for check in asked}
    assert len(checks) == len(asked) > 80
    assert "well-known.server" not in checks
    assert ("tls.example.org:8448" in checks) == ("exposure.admin.example.org:8448" in checks) == (way == "none")
    assert ("ports.8448" in checks) == (way == "none")
    discovery = checks["federation.discovery"]
    assert getattr(discovery, "expected", "") == HOME


def test_asked_together_they_find_the_same_with_fewer_programs(machine: Machine) -> None:
    machine.unit("nginx.service").active = False
    now = a_session(machine, SITE)
    checks, host = command.of(now), now.host
    alone = [(f.id, f.state, f.message) for f in examine(checks, host)]
    many = len(machine.started)
    at_once = [(f.id, f.state, f.message) for f in examine(together(checks, host), host)]
    assert at_once == alone
    assert len(machine.started) - many < many - 12
    machine.says["systemctl"] = "no bus"
    assert together(checks, host) == checks
