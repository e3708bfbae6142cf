"""The mautrix bridges: what each is told, who may use it, where its rows are, and what of it is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix_baremetal import components, config
from matrix_baremetal.components.bridges import BRIDGES
from matrix_baremetal.components.bridges.mautrix import MautrixBridge
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import ConfigError, Error
from matrix_baremetal.needs import Database
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.downloads import Download
from tests.fakes import MINIMAL, Machine, a_session, a_site

KINDS = [kind for kind in BRIDGES if issubclass(kind, MautrixBridge)]
SEVENTEEN = Cluster("17", "main", 5432)
HASH = "/etc/matrix-baremetal/telegram-hash"
SECRETS = "/etc/matrix-baremetal/secrets"
OLDER_DOUBLES = "login_shared_secret_map"


def asked(name: str, more: str = "") -> str:
    more += f", api_id: 12345, api_hash_file: {HASH}" if name == "telegram" else ""
    return f"{MINIMAL}bridges: {{{name}: {{enabled: true{more}}}}}\n"


def bring(machine: Machine, text: str, **facts: Any) -> list[str]:
    machine.put(HASH, "0123456789abcdef\n", 0o600)
    now = a_session(machine, text, **facts)
    return [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]


def settings(kind: type[MautrixBridge], more: str = "", **facts: Any) -> dict[str, Any]:
    """Its config, as it reads it."""
    found: dict[str, Any] = yaml.safe_load(kind(a_site(asked(kind.name, more), **facts)).settings.content)
    return found


def part(found: dict[str, Any], name: str) -> dict[str, Any]:
    """A part of its config, wherever the bridges of its make have it."""
    # The older make: upstream's mautrix-discord, example-config.yaml.
    places = {"database": "appservice", "encryption": "bridge", "provisioning": "bridge"}
    inside: dict[str, Any] = found[name] if name in found else found[places[name]][name]
    return inside


@pytest.mark.parametrize("kind", KINDS)
class TestEach:
    """What holds of each of them."""

    def test_it_is_for_people_of_this_server_and_for_those_alone_who_are_named(
        self, kind: type[MautrixBridge]
    ) -> None:
        assert settings(kind)["bridge"]["permissions"] == {"example.org": "user"}
        named = settings(kind, ", users: [bob, alice], admins: [alice]")["bridge"]["permissions"]
        assert named == {"@bob:example.org": "user", "@alice:example.org": "admin"}
        only = settings(kind, ", admins: [alice]")["bridge"]["permissions"]
        assert only == {"example.org": "user", "@alice:example.org": "admin"}

    def test_a_name_that_is_none_is_refused_with_its_line(self, kind: type[MautrixBridge]) -> None:
        with pytest.raises(ConfigError) as refused:
            config.decode(asked(kind.name, ", users: ['@bob:example.org'], admin: [alice]"), "c.yaml")
        assert "write only what is between @ and the colon" in refused.value.message
        assert "did you mean" in refused.value.message
        assert "c.yaml:3" in refused.value.message

    def test_it_is_encrypted_closed_to_others_and_has_no_metrics(self, kind: type[MautrixBridge]) -> None:
        found = settings(kind)
        encryption = part(found, "encryption")
        assert (encryption["allow"], encryption["default"], encryption["msc4190"]) == (True, True, True)
        assert found["appservice"]["hostname"] == "127.0.0.1"
        assert part(found, "provisioning")["shared_secret"] == "disable"
        assert "metrics" not in found

    def test_its_rows_are_in_postgres_or_in_a_file_and_it_says_why(self, kind: type[MautrixBridge]) -> None:
        user = f"matrix-bridge-{kind.name}"
        new = a_site(asked(kind.name), release=13, cluster=SEVENTEEN)
        assert part(settings(kind, release=13, cluster=SEVENTEEN), "database")["type"] == "postgres"
        assert user in [need.name for need in components.needs(new).of(Database)]
        assert kind(new).keeps == "in Postgres"
        old = a_site(asked(kind.name))
        assert user not in [need.name for need in components.needs(old).of(Database)]
        file = f"file:/var/lib/{user}/database/bridge.db?_txlock=immediate"
        assert part(settings(kind), "database")["uri"] == file
        assert "asks for Postgres 16, and this machine has 15" in kind(old).settings.content.splitlines()[0]
        # Once there is the file, nothing is another.
        begun = a_site(asked(kind.name), in_files=(user,))
        assert kind(begun).settings == kind(old).settings
        # It stays where it began, after an upgrade of Debian too.
        kept = a_site(asked(kind.name), release=13, cluster=SEVENTEEN, in_files=(user,))
        assert kind(kept).keeps == "in an SQLite file: it began with one"
        assert components.data(kept).stores[f"bridge-{kind.name}"].kind == "sqlite"

    def test_its_program_is_that_of_the_processor_or_the_operators_own(self, kind: type[MautrixBridge]) -> None:
        def program(text: str, **facts: Any) -> Download:
            site = a_site(text, **facts)
            wanted = components.needs(site)
            [found] = [r for r in kind(site).resources(wanted) if isinstance(r, Download)]
            return found

        assert program(asked(kind.name)).url.endswith("-amd64")
        assert program(asked(kind.name), architecture="aarch64").url.endswith("-arm64")
        own = f", release: {{url: 'https://mirror.example/x', sha256: {'a' * 64}}}"
        assert (program(asked(kind.name, own)).sha256, program(asked(kind.name, own)).version) == ("a" * 64, "a" * 12)
        assert program(asked(kind.name)).program == kind.name

    def test_synapse_knows_it_and_by_what_it_acts_as_people(self, kind: type[MautrixBridge], tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        done = bring(machine, asked(kind.name))
        place = f"/etc/matrix-baremetal/bridges/{kind.name}"
        own, puppets = (json.loads(machine.at(f"{place}{end}.yaml").read_text()) for end in ("", "-puppets"))
        users = [(each["regex"], each["exclusive"]) for each in own["namespaces"]["users"]]
        assert users == [(rf"@{kind.people}.*:example\.org", True), (rf"@{kind.bot}:example\.org", True)]
        # docs.mau.fi, "End-to-bridge encryption" and "Double puppeting".
        assert own["sender_localpart"] != kind.bot
        assert (puppets["url"], puppets["namespaces"]["users"][0]["exclusive"]) == (None, False)
        whole = machine.at(f"{place}-config.yaml").read_text()
        found = yaml.safe_load(whole)
        assert found["appservice"]["as_token"] == own["as_token"]
        assert found["appservice"]["hs_token"] == own["hs_token"]
        doubles = found["double_puppet"]["secrets"] if "double_puppet" in found else found["bridge"][OLDER_DOUBLES]
        assert doubles == {"example.org": f"as_token:{puppets['as_token']}"}
        assert "{" not in str(part(found, "encryption")).strip("{}")
        assert len({own["as_token"], own["hs_token"], puppets["as_token"], puppets["hs_token"]}) == 4
        assert not [
            mode for mode in (machine.at(f"{place}{e}.yaml").stat().st_mode & 0o077 for e in ("", "-config")) if mode
        ]
        assert done.index(f"create registration {place}.yaml") < done.index(
            f"start matrix-bridge-{kind.name}.service"
        )
        assert bring(machine, asked(kind.name)) == []

    def test_off_takes_all_but_rows_and_secrets(self, kind: type[MautrixBridge], tmp_path: Path) -> None:
        machine, unit = Machine(tmp_path), f"matrix-bridge-{kind.name}.service"
        bring(machine, asked(kind.name))
        rows = f"/var/lib/matrix-bridge-{kind.name}/database/bridge.db"
        machine.put(rows, "rows", 0o600)
        bring(machine, MINIMAL)
        assert not machine.unit(unit).active
        for path in ("/opt/matrix-baremetal/bridges", "/etc/matrix-baremetal/bridges"):
            assert not machine.at(path).exists(), path
        assert machine.at(rows).read_text() == "rows"
        assert machine.at(f"{SECRETS}/bridge-{kind.name}-puppet_token").exists()
        assert bring(machine, MINIMAL) == []

    def test_no_secret_is_in_a_plan(self, kind: type[MautrixBridge], tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, asked(kind.name))
        now = a_session(machine, asked(kind.name, ", users: [alice]"))
        told = str([change.differences for change in plan(now.resources, now.host, now.manifest)])
        assert "@alice:example.org" in told
        for secret in kind(a_site(asked(kind.name))).tokens:
            assert machine.at(secret.path).read_text().strip() not in told


def test_the_key_of_keys_is_one_of_ours_where_the_program_takes_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    bring(machine, asked("whatsapp"))
    found = yaml.safe_load(machine.at("/etc/matrix-baremetal/bridges/whatsapp-config.yaml").read_text())
    assert len(found["encryption"]["pickle_key"]) >= 32
    bring(machine, asked("discord"))
    assert not machine.at(f"{SECRETS}/bridge-discord-pickle_key").exists()


def test_discords_config_is_of_the_older_make() -> None:
    [kind] = [kind for kind in KINDS if kind.name == "discord"]
    found = settings(kind)
    assert set(found) == {"homeserver", "appservice", "bridge", "logging"}
    assert found["bridge"]["username_template"] == "discord_{{.}}"
    # Upstream's example has servers and secrets here that are nobody's.
    assert found["bridge"]["double_puppet_server_map"] == {}


class TestTelegram:
    """What it alone has."""

    def test_without_an_id_and_a_hash_it_is_refused(self) -> None:
        with pytest.raises(ConfigError) as refused:
            config.decode(f"{MINIMAL}bridges: {{telegram: {{enabled: true}}}}\n", "c.yaml")
        assert "api_id and api_hash_file is missing" in refused.value.message
        assert "my.telegram.org" in refused.value.message
        with pytest.raises(ConfigError, match="0 is no id"):
            config.decode(f"{MINIMAL}bridges: {{telegram: {{api_id: 0}}}}\n", "c.yaml")

    def test_it_is_handed_both_and_no_plan_shows_the_hash(self, tmp_path: Path) -> None:
        machine, place = Machine(tmp_path), "/etc/matrix-baremetal/bridges/telegram-config.yaml"
        bring(machine, asked("telegram"))
        found = yaml.safe_load(machine.at(place).read_text())
        assert found["network"] == {"api_id": 12345, "api_hash": "0123456789abcdef"}
        assert HASH in components.data(a_site(asked("telegram"))).files
        now = a_session(machine, asked("telegram", ", users: [alice]"))
        told = str([change.differences for change in plan(now.resources, now.host, now.manifest)])
        assert "@alice:example.org" in told
        assert "0123456789abcdef" not in told

    def test_another_hash_is_taken_up_and_an_empty_file_is_named(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, asked("telegram"))
        machine.put(HASH, "another", 0o600)
        now = a_session(machine, asked("telegram"))
        done = [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]
        assert done[-1] == "restart matrix-bridge-telegram.service"
        machine.put(HASH, "", 0o600)
        with pytest.raises(Error, match="should hold api_hash and does not"):
            list(converge(now.resources, now.host, now.manifest))
