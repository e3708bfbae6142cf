"""What becomes of the settings of a Synapse that is taken over."""

from __future__ import annotations

from typing import Any

import pytest

from matrix_baremetal import config, yamlfile
from matrix_baremetal.errors import Error
from matrix_baremetal.takeover import Takeover, taken_over

BASE: dict[str, Any] = {"server_name": "example.org", "database": {"name": "sqlite3"}}


def fates(taken: Takeover) -> dict[str, str]:
    return {row.key: row.fate for row in taken.rows}


def of(**theirs: Any) -> Takeover:
    return taken_over({**BASE, **theirs}, "sqlite", None)


def test_every_setting_has_one_fate_and_the_config_is_read_back_as_it_was_meant() -> None:
    theirs = {
        "public_baseurl": "https://chat.example.org/",
        "max_upload_size": "80M",
        "pid_file": "/data/x.pid",
        "old_signing_keys": {"ed25519:a": {"key": "x", "expired_ts": 1}},
        "listeners": [],
        "signing_key_path": "x",
        "password_config": {"pepper": "0o17"},
        "retention": {"enabled": True},
        "user_agent_suffix": "1e3",
        "turn_shared_secret": "s",
        "redis": {"enabled": True},
        "modules": [{"module": "a.B"}],
        "no_such": 1,
        "custom_template_directory": "/data/templates",
        "macaroon_secret_key": "m",
    }
    taken = of(**theirs)
    assert sorted(fates(taken)) == sorted({**BASE, **theirs})
    assert len(taken.rows) == len(fates(taken))
    left = {key for key, fate in fates(taken).items() if fate == "left"}
    assert left == {"redis", "modules", "no_such", "custom_template_directory"}
    read = config.decode(taken.text("admin@example.org"), "x")
    assert (read.hostname, read.database, read.acme.email) == ("chat.example.org", "sqlite", "admin@example.org")
    assert dict(read.synapse.settings)["password_config"]["pepper"] == "0o17"
    assert read.synapse.settings["user_agent_suffix"] == "1e3"
    assert read.synapse.settings["old_signing_keys"]["ed25519:a"]["expired_ts"] == 1
    assert read.synapse.settings["turn_shared_secret_path"] == "/etc/matrix-synapse/conf.d/turn_shared_secret"
    assert taken.files == {"/etc/matrix-synapse/conf.d/turn_shared_secret": "s"}
    assert "m" not in taken.text(None).split()


@pytest.mark.parametrize(
    ("theirs", "word"),
    [
        ({}, "closed"),
        ({"enable_registration": True, "enable_registration_without_verification": True}, "closed"),
        ({"enable_registration": True, "registration_requires_token": True}, "token"),
        ({"enable_registration": False, "registration_requires_token": True}, "closed"),
    ],
)
def test_who_may_register(theirs: dict[str, Any], word: str) -> None:
    taken = of(**theirs)
    assert config.decode(taken.text(None), "x").registration == word


@pytest.mark.parametrize("key", ["modules", "password_providers"])
def test_a_directory_of_theirs_has_a_place_in_ours(key: str) -> None:
    taken = of(**{key: [{"module": "ldap_auth_provider.LdapAuthProviderModule", "config": {"bind_password": "p"}}]})
    [row] = [row for row in taken.rows if row.key == key]
    assert (row.fate, "/how-to/ldap.md" in row.where) == ("left", True)


def test_federation_and_the_name_follow() -> None:
    assert config.decode(of(federation_domain_whitelist=[]).text(None), "x").federation.enabled is False
    assert config.decode(of(federation_domain_whitelist=["a.org"]).text(None), "x").federation.allow == ("a.org",)
    assert config.decode(of().text(None), "x").hostname == "matrix.example.org"
    assert config.decode(taken_over(BASE, "postgres", "m.example.org").text(None), "x").hostname == "m.example.org"
    [obstacle] = of(server_name="example.org:8448").obstacles
    assert "server_name" in obstacle.message


def test_where_there_is_a_config_what_it_lacks_is_left_out() -> None:
    taken = of(max_upload_size="80M", report_stats=True).against({"report_stats": True})
    assert (fates(taken)["max_upload_size"], fates(taken)["report_stats"]) == ("left", "kept")


def test_their_yaml_is_read_as_synapse_reads_it() -> None:
    found = yamlfile.foreign("a: &x yes\nb: *x\na: no\n", "f")
    assert found == {"a": False, "b": True}
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{n}: &{n} [{', '.join([f'*{o}'] * 10)}]\n" for o, n in zip("abcde", "bcdef", strict=True))
    for text, says in (
        ("a: [", "f:"),
        ("- a\n", "no config"),
        (bomb, "more values"),
        ("a: !!python/name:os.system", "f:"),
    ):
        with pytest.raises(Error, match=says):
            yamlfile.foreign(text, "f")
