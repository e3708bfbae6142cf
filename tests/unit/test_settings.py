"""What of Synapse's settings is passed on, and what is said of the rest."""

from __future__ import annotations

import pytest

from matrix_baremetal import config, settings
from matrix_baremetal.config import Config
from matrix_baremetal.errors import ConfigError


def read(text: str) -> Config:
    return config.decode(text, "config.yaml")


def problems(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize("key", sorted(settings.OURS))
def test_settings_that_are_ours_name_what_to_use(key: str) -> None:
    said = problems(f"server_name: a.b\nsynapse:\n  settings:\n    {key}: x\n")
    assert said.startswith(f"config.yaml:4:5: synapse.settings.{key}: this setting is written by matrix-baremetal (")
    assert said.count("\n") == 0


@pytest.mark.parametrize("path", settings.SECRETS, ids=".".join)
def test_inline_secrets_name_the_key_for_a_file(path: tuple[str, ...]) -> None:
    value = "x"
    for step in reversed(path):
        value = f"{{{step}: {value}}}"
    said = problems(f"server_name: a.b\nsynapse: {{settings: {value}}}")
    assert f"synapse.settings.{'.'.join(path)}: a secret can't stand in this file" in said
    assert f"write {path[-1]}_path: FILE" in said
    assert read(f"server_name: a.b\nsynapse: {{settings: {value.replace(path[-1], path[-1] + '_path')}}}")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("max_uplod_size", "did you mean max_upload_size?"),
        ("enable_serch", "did you mean enable_search?"),
        ("allow_underscore_prefixed_registration", "did you mean"),  # documented so, but read under another name
        ("qqqq", "Synapse would pass over it in silence"),
    ],
)
def test_a_typo_in_settings_is_found(key: str, hint: str) -> None:
    said = problems(f"server_name: a.b\nsynapse: {{settings: {{{key}: 1}}}}")
    assert f'config.yaml:2:22: synapse.settings.{key}: Synapse 1.163.2 has no setting "{key}" (' in said
    assert hint in said


@pytest.mark.parametrize("key", settings.LISTS)
@pytest.mark.parametrize("value", ["true", "abc", "{a: b}", "1"])
def test_what_parts_of_ours_add_to_has_to_be_a_list(key: str, value: str) -> None:
    said = problems(f"server_name: a.b\nsynapse: {{settings: {{{key}: {value}}}}}")
    assert f"config.yaml:2:22: synapse.settings.{key}: expected a list" in said
    assert read(f"server_name: a.b\nsynapse: {{settings: {{{key}: null}}}}")


@pytest.mark.parametrize(
    "key", ["max_upload_size", "rc_message", "experimental_features", "oidc_providers", "modules"]
)
def test_settings_of_synapse_are_passed_on(key: str) -> None:
    assert read(f"server_name: a.b\nsynapse: {{settings: {{{key}: [1, {{x: y}}]}}}}").synapse.settings[key] == (
        1,
        {"x": "y"},
    )


def test_free_settings_carry_a_text_literally() -> None:
    text = "$(id) `id` {{ x }} %n 'q' ; \\ é 👍"
    quoted = "'" + text.replace("'", "''") + "'"
    loaded = read(f"server_name: a.b\nsynapse: {{settings: {{hs_disabled_message: {quoted}}}}}")
    assert loaded.synapse.settings["hs_disabled_message"] == text


CAPTCHA = "enable_registration_captcha: true, recaptcha_public_key_path: /a, recaptcha_private_key_path: /b"


@pytest.mark.parametrize(
    "inner",
    [
        CAPTCHA,
        "registrations_require_3pid: [email], email: {smtp_host: localhost, notif_from: a@b.org}",
        "registrations_require_3pid: [msisdn, email], email: {notif_from: a@b.org}",
    ],
)
def test_open_registration_is_taken_where_people_are_verified(inner: str) -> None:
    text = f"server_name: a.b\nregistration: open\nsynapse: {{settings: {{{inner}}}}}"
    assert read(text).registration == "open"


@pytest.mark.parametrize(
    ("inner", "missing"),
    [
        ("", "use token, or add to synapse.settings a captcha"),
        (CAPTCHA.replace("true", "false"), "add to synapse.settings: enable_registration_captcha)"),
        ("enable_registration_captcha: true", "recaptcha_public_key_path, recaptcha_private_key_path)"),
        ("registrations_require_3pid: [email]", "email, with smtp_host and notif_from"),
        (
            "registrations_require_3pid: [email], email: {smtp_host: localhost}",
            "email, with smtp_host and notif_from",
        ),
        ("registrations_require_3pid: [msisdn], email: {notif_from: a@b.org}", "use token, or add"),
        ("registrations_require_3pid: email, email: {notif_from: a@b.org}", "use token, or add"),
    ],
)
def test_open_registration_is_refused_with_what_is_missing(inner: str, missing: str) -> None:
    said = problems(f"server_name: a.b\nregistration: open\nsynapse: {{settings: {{{inner}}}}}")
    assert said.startswith("config.yaml:2:1: registration: nobody is asked for anything")
    assert missing in said
    assert said.count("\n") == 0


@pytest.mark.parametrize("registration", ["closed", "token"])
def test_registration_that_is_not_open_needs_nobody_verified(registration: str) -> None:
    assert read(f"server_name: a.b\nregistration: {registration}").registration == registration
