"""What an operator can cause or mend: its words and its exit status."""

from __future__ import annotations

import pytest

from matrix_baremetal.errors import DIFFERS, FAILED, USAGE, Busy, ConfigError, Error, Pending, Problem


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Error("a"), FAILED),
        (Busy("a"), FAILED),
        (Pending("a"), DIFFERS),
        (ConfigError("f", [Problem(1, 1, "a")]), USAGE),
    ],
)
def test_each_kind_has_the_exit_status_of_the_contract(error: Error, status: int) -> None:
    assert error.status == status
    assert (FAILED, USAGE, DIFFERS) == (1, 2, 3)


def test_an_error_holds_a_sentence_and_the_next_step() -> None:
    error = Error("it is broken", hint="mend it")
    assert (str(error), error.message, error.hint) == ("it is broken", "it is broken", "mend it")


def test_all_mistakes_of_a_file_come_at_once_and_in_their_order() -> None:
    error = ConfigError("c.yaml", [Problem(3, 1, "last"), Problem(1, 9, "second", "do this"), Problem(1, 2, "first")])
    assert error.message == "c.yaml:1:2: first\nc.yaml:1:9: second (do this)\nc.yaml:3:1: last"
    assert error.hint
    assert "c.yaml" in error.hint
