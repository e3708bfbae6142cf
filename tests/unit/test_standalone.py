"""The pretend internet on a machine of its own: what its DNS says, and what it says to words that it can't take."""

from __future__ import annotations

import socket

import pytest

from tests.lab import dns, standalone, zone


@pytest.mark.parametrize("name", ["one.test", "matrix.one.test", "any.thing.one.test"])
def test_a_name_and_all_below_it_are_at_its_address(name: str) -> None:
    records = zone.sites("192.168.56.10", {"one.test": "192.168.56.11", "two.test": "192.168.56.12"})
    held = dns.find(records, name)
    assert held is not None
    assert dns.records(name, held, dns.A)[0].endswith(socket.inet_aton("192.168.56.11"))
    assert records[zone.LETS_ENCRYPT[0]] == {"a": ["192.168.56.10"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which address"),
        (["192.168.56.10"], "which address"),
        (["192.168.56.10", "one.test"], "'' is no IPv4 address"),
        (["192.168.56.10", "one.test=192.168.56"], "'192.168.56' is no IPv4 address"),
        (["lab", "one.test=192.168.56.11"], "'lab' is no IPv4 address"),
        (["192.168.56.10", "a b.test=192.168.56.11"], "'a b.test' is no name"),
    ],
)
def test_a_word_that_it_cant_take_is_named(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert standalone.main(words) == 1
    assert said in capsys.readouterr().err
