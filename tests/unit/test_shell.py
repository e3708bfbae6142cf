"""Programs of this machine: how they end, what they get, and what they don't."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

import matrix_baremetal
from matrix_baremetal.errors import Error
from matrix_baremetal.shell import PATH, Failed, Shell, clean_environment

run = Shell()


def test_a_program_gets_its_input_and_gives_its_output() -> None:
    result = run("cat", input="Grüße\n")
    assert (result.status, result.out, result.err) == (0, "Grüße\n", "")


def test_a_program_without_input_does_not_wait_for_any() -> None:
    assert run("cat", timeout=10).out == ""


def test_words_are_passed_as_they_are_and_no_shell_reads_them() -> None:
    words = ("a b", "$HOME", "`id`", "--option=1", "*", "'", "\\", "ä")
    assert run("printf", "%s|", *words).out == "".join(f"{word}|" for word in words)


def test_bytes_that_are_no_text_do_no_harm() -> None:
    assert run("printf", r"\377x").out == "�x"


def test_a_status_that_is_not_expected_is_an_error_with_the_last_words_and_without_the_arguments() -> None:
    with pytest.raises(Failed) as caught:
        run("sh", "-c", "echo no such luck >&2; exit 3", "hunter2")
    assert caught.value.result.status == 3
    assert caught.value.message == "sh failed with status 3: no such luck"
    assert run("sh", "-c", "exit 3", ok=(0, 3)).status == 3


def test_a_program_that_a_signal_ended_has_the_status_that_shells_give_it() -> None:
    assert run("sh", "-c", "kill -TERM $$", ok=(143,)).status == 143


def test_last_words_are_few_and_from_stderr_where_there_are_any() -> None:
    result = run("sh", "-c", "seq 100; seq 20 >&2")
    assert result.last_words == "\n".join(str(n) for n in range(13, 21))
    assert run("seq", "3").last_words == "1\n2\n3"


def test_a_program_that_takes_too_long_is_stopped() -> None:
    began = time.monotonic()
    with pytest.raises(Error, match="sleep took longer than 0 s and was stopped"):
        run("sleep", "30", timeout=0.3)
    assert time.monotonic() - began < 10


def test_a_program_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(Error, match="the program no-such-program is not installed") as caught:
        run("no-such-program")
    assert caught.value.hint


def test_nothing_of_the_callers_environment_steers_a_program() -> None:
    shown = dict(line.split("=", 1) for line in run("env", env={"EXTRA": "1"}).out.splitlines())
    assert shown["PATH"] == PATH
    assert (shown["LC_ALL"], shown["DEBIAN_FRONTEND"], shown["EXTRA"]) == ("C.UTF-8", "noninteractive", "1")
    assert set(shown) <= {"PATH", "LC_ALL", "DEBIAN_FRONTEND", "EXTRA", "HOME", "TERM", "PWD", "SHLVL", "_"} | {
        name for name in os.environ if name.lower().endswith("_proxy")
    }


def test_a_program_has_a_home_even_where_we_have_none() -> None:
    assert clean_environment(None)["HOME"] == os.environ.get("HOME", "/root")


def test_a_program_starts_where_it_is_told_and_has_no_terminal() -> None:
    assert run("pwd").out == "/\n"
    assert run("pwd", cwd="/usr").out == "/usr\n"
    assert run("sh", "-c", "test -t 0 || test -t 1 || test -t 2", ok=(1,)).status == 1


def test_a_program_has_a_session_of_its_own_so_that_ctrl_c_reaches_us_alone() -> None:
    session = int(run("sh", "-c", "read -r line < /proc/$$/stat; set -- $line; echo $6").out)
    assert session != os.getsid(0)


def test_a_lot_of_output_arrives_whole() -> None:
    assert len(run("seq", "200000").out.splitlines()) == 200_000


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.parametrize(
    "what",
    ["run(*sleeping, timeout=0.3)", "with run.reading(*sleeping): raise KeyError"],
    ids=["too long", "nobody reads"],
)
def test_somebody_elses_program_is_stopped_where_root_may_signal_nobody(what: str) -> None:
    """As in a unit without CAP_KILL."""
    sleeping = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "9")
    script = f"from matrix_baremetal.shell import Shell\nrun, sleeping = Shell(), {sleeping}\n{what}"
    began = time.monotonic()
    root = str(Path(matrix_baremetal.__file__).parent.parent)
    words = ("--bounding-set=-kill", "--inh-caps=-kill", sys.executable, "-c", script)
    ended = run("setpriv", *words, ok=(1,), env={"PYTHONPATH": root}, timeout=30)
    assert ("KeyError" in ended.err, "TimedOut" in ended.err).count(True) == 1
    assert time.monotonic() - began < 7
