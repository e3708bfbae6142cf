"""Modules of Synapse: what they need of it, asked by parts that it does not know."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from matrix_baremetal import components
from matrix_baremetal.checks.homeserver import Program
from matrix_baremetal.checks.ldap import ASK
from matrix_baremetal.commands import rollback
from matrix_baremetal.commands import upgrade as command
from matrix_baremetal.components import ALL
from matrix_baremetal.components.component import SECRETS
from matrix_baremetal.components.synapse import Synapse
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.needs import Module, Needs, Setting
from matrix_baremetal.preflight import passwords
from matrix_baremetal.release import OPT
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.filled import SecretCopy
from matrix_baremetal.resources.matrix import MODULES
from matrix_baremetal.resources.python import LOCK, Virtualenv
from matrix_baremetal.versions import BESIDE, alone, lock
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver, a_session, a_site
from tests.upgrades import NEW, OLD, PATIENCE, Told, of, older, words

OWN = "/etc/own.password"
PATH = f"{SECRETS}/a_password"
PASSWORD = SecretCopy(PATH, OWN)
MODULE = {"module": "a.B", "config": {"password_file": PATH, "names": ["a", PATH]}}
SITE = a_site()
UNITS = Path(__file__).parents[2] / "units"
NEEDS = components.needs(SITE).everything


def test_a_setting_may_have_the_path_of_what_synapse_is_handed_anywhere_in_it() -> None:
    needs = Needs((*NEEDS, Setting("modules", MODULE, files=(PASSWORD,), many=True)))
    made = [r for kind in ALL for r in kind(SITE).resources(needs)]
    [text] = [r.content for r in made if isinstance(r, File) and r.path.endswith("homeserver.yaml")]
    loaded = "/run/credentials/matrix-synapse.service/a_password"
    wanted = {"module": "a.B", "config": {"password_file": loaded, "names": ["a", loaded]}}
    assert yaml.safe_load(text)["modules"] == [wanted]
    assert PASSWORD in made
    assert any(f"LoadCredential=a_password:{PATH}\n" in r.content for r in made if isinstance(r, File))


def test_the_operators_password_has_to_be_there_for_root_alone(tmp_path: Path) -> None:
    needs, machine = Needs((Setting("modules", MODULE, files=(PASSWORD,), many=True),)), Machine(tmp_path)
    host = FakeHost(machine)
    assert [obstacle.message for obstacle in passwords(needs, host)] == [f"{OWN} should hold a password and does not"]
    machine.put(OWN, "very secret\n", 0o600)
    machine.at(SECRETS).mkdir(parents=True)
    assert list(passwords(needs, host)) == []
    PASSWORD.make(host, None)
    assert machine.at(PATH).read_text() == "very secret", "nothing else, and no end of a line"
    assert PASSWORD.find(host) == PASSWORD
    machine.owners[PATH] = ("www-data", "www-data")
    assert PASSWORD.find(host) != PASSWORD, "whoever owns it can read it"
    machine.put(PATH, "another", 0o600)
    found = PASSWORD.find(host)
    assert found
    assert (found.same, found.editable) == (False, ())


def test_what_a_module_needs_is_in_synapses_virtualenv_and_doctor_asks_for_it() -> None:
    [plain] = [r for r in components.resources(SITE) if isinstance(r, Virtualenv)]
    needs = Needs((*NEEDS, Module("uv"), Module("uv")))
    [more] = [r for r in Synapse(SITE).resources(needs) if isinstance(r, Virtualenv)]
    assert more.path == plain.path
    assert more.pins != plain.pins
    assert more.requirements == plain.requirements + BESIDE + lock("uv")
    assert alone(more.requirements) == plain.requirements == SITE.versions.synapse.pins
    [check] = [c for c in Synapse(SITE).checks(needs) if isinstance(c, Program)]
    assert check.virtualenv == more


def test_what_a_part_has_put_there_stays_until_the_next_upgrade(tmp_path: Path) -> None:
    """Taken out before the config that names it is another, it would keep Synapse from starting after a kill."""
    machine = Machine(tmp_path)
    host = FakeHost(machine)
    text = f"{MINIMAL}ldap: {{server: 'ldaps://a.b', base: 'ou=a'}}\n"
    a_homeserver(machine, text)
    for each in (text, MINIMAL):
        [virtualenv] = [r for r in a_session(machine, each).resources if isinstance(r, Virtualenv)]
        assert virtualenv.find(host) == virtualenv
    [again] = [r for r in a_session(Machine(tmp_path / "plain"), text).resources if isinstance(r, Virtualenv)]
    told = {row.field: row for row in again.differences(virtualenv)}
    assert re.search(r"^ldap3 [\d.]+, matrix-synapse-ldap3 0\.", told["packages"].after)
    assert told["packages"].before == ""
    more = replace(virtualenv, pins="more", requirements=f"{virtualenv.requirements}{BESIDE}another==1\n")
    assert more.find(host) != more
    less = replace(virtualenv, pins="less", requirements=virtualenv.requirements.partition("\n")[2])
    assert less.find(host) != less, "another lock of Synapse's own"


@pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")
def test_an_upgrade_and_a_way_back_make_each_version_with_what_is_asked_for_now(tmp_path: Path) -> None:
    """Also the older one, which was made before a module was asked for."""
    machine, text = older(tmp_path), f"{MINIMAL}ldap: {{server: 'ldaps://a.b', base: 'ou=a'}}\n"

    def pinned(version: str) -> str:
        return machine.at(f"{OPT}/{version}/{LOCK}").read_text()

    command.upgraded(of(machine), words(), Told(), PATIENCE)
    now = of(machine, text=text)
    list(converge(now.resources, now.host, now.manifest))
    assert (BESIDE in pinned(OLD), BESIDE in pinned(NEW)) == (False, True)
    rollback.back(of(machine, text=text), words(), Told(), PATIENCE)
    assert pinned(OLD) == lock(f"synapse-{OLD}") + BESIDE + lock("ldap")
    now = of(machine, text=text)
    assert [change.title for change in plan(now.resources, now.host, now.manifest)] == []
    command.upgraded(now, words(), Told(), PATIENCE)
    assert pinned(NEW) == lock(f"synapse-{NEW}") + BESIDE + lock("ldap")


# What the module of Synapse's is to ours, and a directory's library to both.
STAND_INS = {
    "ldap_auth_provider.py": """
import ldap3.core.exceptions
class LdapAuthProviderModule:
    ldap_uris, ldap_tls = ["ldaps://a.b"], "tls"
    async def _ldap_authenticated_search(self, server, password, filters):
        return server, password, filters
    async def check_3pid_auth(self, medium, address, password):
        if medium == "away":
            raise ldap3.core.exceptions.LDAPException
        return medium
""",
    "ldap3/__init__.py": """
def Server(*words, **more):
    return [words, more]
""",
    "ldap3/utils/__init__.py": "",
    "ldap3/core/__init__.py": "",
    "ldap3/core/exceptions.py": "class LDAPException(Exception): pass",
    "ldap3/utils/conv.py": """
def escape_filter_chars(text):
    return text.replace("*", "2a")
""",
}
TRIED = """
import asyncio, json, matrix_baremetal_ldap
module = matrix_baremetal_ldap.Directory()
searched = asyncio.run(module._ldap_authenticated_search("s", "p*", [("uid", "a*")]))
by_mail = [asyncio.run(module.check_3pid_auth(medium, "a@b", "p")) for medium in ("email", "away")]
print(json.dumps([module._get_server(), searched, by_mail]))
"""


def test_a_directory_that_is_away_is_waited_for_seconds_and_what_is_typed_is_no_search(tmp_path: Path) -> None:
    for name, text in STAND_INS.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    path = f"{tmp_path}:{UNITS}"
    done = subprocess.run(
        [sys.executable, "-B", "-c", TRIED], env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    [[words, more], searched, by_mail] = json.loads(done.stdout)
    assert (words, more) == (["ldaps://a.b"], {"get_info": None, "tls": "tls", "connect_timeout": 5})
    assert searched == ["s", "p*", [["uid", "a2a"]]]
    assert by_mail == ["email", None]


def test_synapse_and_its_check_find_modules_of_ours_where_the_package_has_them() -> None:
    assert f"\nEnvironment=PYTHONPATH={MODULES}\n" in (UNITS / "matrix-synapse.service").read_text()
    installed = (UNITS.parent / "debian/matrix-baremetal.install").read_text()
    assert f"units/matrix_baremetal_ldap.py {MODULES.removeprefix('/')}\n" in installed
    assert f"units/ask-ldap {ASK.removeprefix('/').rpartition('/')[0]}\n" in installed
