"""The config's JSON Schema takes what the reader takes, and refuses what a schema can refuse."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from jsonschema import Draft7Validator

from matrix_baremetal import config, config_schema, settings
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.shape import key_of
from tests import option_list
from tests.golden.cases import NAMES, Case
from tests.unit.test_config import later_cases

VALIDATOR = Draft7Validator(config_schema.schema())


def good(text: str) -> bool:
    found: bool = VALIDATOR.is_valid(yaml.safe_load(text))
    return found


def test_it_is_a_schema() -> None:
    Draft7Validator.check_schema(config_schema.schema())


@pytest.mark.parametrize("name", NAMES)
def test_every_golden_config_is_good(name: str) -> None:
    text = (Case(name).folder / "config.yaml").read_text()
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []


@pytest.mark.parametrize(
    "text",
    [
        "server_name: a.b\ntls:\nacme:\nfederation:\nadmins:\nsynapse:",
        "server_name: a.b\nacme: {email: null}",
        "server_name: a.b\nfederation: {allow: [matrix.org, '192.0.2.1:8448']}",
        "server_name: a.b\nadmins: [{name: al, password_file: /etc/al}, {name: bo}]",
        "server_name: a.b\nsynapse: {settings: {email: {smtp_host: localhost}, max_upload_size: 1G}}",
        "server_name: a.b\nregistration: {mode: token, until: '2026-12-24 18:00:30Z'}",
    ],
)
def test_what_the_reader_takes_is_good(text: str) -> None:
    assert config.decode(text, "config.yaml")
    assert good(text)


@pytest.mark.parametrize(
    "text",
    [
        "acme: {}",
        "server_name: [a]",
        "server_name: Example.org",
        "server_name: example",
        "server_nam: a.b",
        "server_name: a.b\nhostname: 'a.b:443'",
        "server_name: a.b\nacme: {email: nobody}",
        "server_name: a.b\nacme: {mail: a@b.de}",
        "server_name: a.b\ndatabase: postgre",
        "server_name: a.b\nfederation: {enabled: 'yes'}",
        "server_name: a.b\nfederation: {allow: x.y}",
        "server_name: a.b\nfederation: {delegation: dns}",
        "server_name: a.b\nadmins: [alice]",
        "server_name: a.b\nadmins: [{password_file: /etc/x}]",
        "server_name: a.b\nadmins: [{name: Alice}]",
        "server_name: a.b\nadmins: [{name: al, password_file: pw}]",
        "server_name: a.b\nsynapse: {setting: {}}",
        "server_name: a.b\nsynapse: {settings: [x]}",
        "server_name: a.b\nsynapse: {settings: {server_name: x}}",
        "server_name: a.b\nsynapse: {settings: {max_uplod_size: 1G}}",
        "server_name: a.b\nsynapse: {workers: 4}",
        "server_name: a.b\nregistration: {mode: token, until: '24.12.2026'}",
    ],
)
def test_what_is_refused_is_refused_by_the_reader_too(text: str) -> None:
    assert not good(text)
    with pytest.raises(ConfigError):
        config.decode(text, "config.yaml")


@pytest.mark.parametrize(("entry", "text"), later_cases())
def test_what_comes_later_is_not_offered(entry: str, text: str) -> None:
    assert not good(text), entry


def described(kind: Any, path: str = "") -> set[str]:
    """Every key of a dataclass and of those in it, by its dotted path."""
    found = set()
    for field in fields(kind):
        where = f"{path}.{key_of(field.name)}".lstrip(".")
        found.add(where)
        inner: Any = get_type_hints(kind)[field.name]
        for each in (inner, *get_args(inner)):
            found |= described(each, where) if is_dataclass(each) else set()
    return found


def test_every_key_has_a_sentence_and_no_sentence_is_left_over() -> None:
    assert described(config.Config) == set(config_schema.WHAT)
    assert all(what.endswith(".") for what in config_schema.WHAT.values())


def test_an_editor_can_complete_synapses_own_keys_but_those_that_are_ours() -> None:
    properties = config_schema.schema()["properties"]["synapse"]["properties"]["settings"]["properties"]
    assert "max_upload_size" in properties
    assert len(properties) > 150
    assert not set(properties) & set(settings.OURS)


def test_defaults_are_those_of_the_config() -> None:
    properties = config_schema.schema()["properties"]
    assert properties["federation"]["properties"]["delegation"]["default"] == "well-known"
    assert properties["federation"]["properties"]["enabled"]["default"] is True
    assert "default" not in properties["server_name"]


def test_the_man_page_lists_every_key_as_it_is() -> None:
    """Made anew by: .venv/bin/python -m tests.option_list."""
    page = option_list.FILE.read_text()
    assert page == option_list.replaced(page)
    listed = re.findall(r"^\.It Cm ([a-z0-9_.]+) :", option_list.text(), re.MULTILINE)
    assert set(listed) == set(config_schema.WHAT)
    assert len(listed) == len(config_schema.WHAT)


@pytest.mark.skipif(shutil.which("man") is None or shutil.which("groff") is None, reason="man-db is not installed")
@pytest.mark.parametrize("page", sorted(option_list.FILE.parent.iterdir()), ids=lambda page: page.name)
def test_man_has_no_complaint_about_a_page(page: Path) -> None:
    words = ("man", "--warnings", "-P", "cat", "-l", str(page))
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
    assert (done.returncode, done.stderr) == (0, "")
