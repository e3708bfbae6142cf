"""What bash, zsh and fish really offer at the Tab key is what the command itself takes."""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix_baremetal import words

TREE = Path(__file__).parents[2]
SHELLS = ("bash", "zsh", "fish")
PROGRAM = "matrix-baremetal"
# Each line of stdin is a command line, its words and one more kept apart by commas.
BASH = """
. /usr/share/bash-completion/bash_completion
. "$0"
while IFS=, read -r -a COMP_WORDS; do
    unset 'COMP_WORDS[-1]'
    COMPREPLY=() COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE}
    _matrix_baremetal
    echo "${COMPREPLY[@]}"
done
"""
ZSH = """
PROMPT='ready> ' LISTMAX=0 COLUMNS=200 LINES=400
zstyle ':completion:*' verbose no
zstyle ':completion:*' list-prompt ''
fpath=("$SOURCE" $fpath)
autoload -Uz compinit && compinit -u -D
"""


def parsers(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    """Every place on the command line with the words that may stand there, or else the long options."""
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    for action in below:
        names = [each.dest for each in action._choices_actions]
        yield (*path, ""), set(names)
        for name in names:
            yield from parsers(action.choices[name], (*path, name))
    yield (
        (*path, "--"),
        {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")},
    )


PLACES = [
    *parsers(words.parser()),
    (("show", "well-known", "--for", ""), {"nginx", "apache", "caddy", "static"}),
    (("--config", "show", "user", ""), {"add", "list", "show", "passwd", "admin", "deactivate", "export", "import"}),
]


@pytest.fixture(scope="module", params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A shell, and its completion as the package has it."""
    name = str(request.param)
    if shutil.which(name) is None or (
        name == "bash" and not Path("/usr/share/bash-completion/bash_completion").exists()
    ):
        pytest.skip(f"{name} or its completion is not installed; bin/setup installs it")
    file = tmp_path_factory.mktemp(name) / "_matrix-baremetal"
    made = subprocess.run([sys.executable, TREE / "debian/completions", name], capture_output=True, check=True)
    file.write_bytes(made.stdout)
    return name, file


def test_each_shell_offers_what_the_command_takes(shell: tuple[str, Path], tmp_path: Path) -> None:
    name, file = shell
    offers = {"bash": bash, "zsh": zsh, "fish": fish}[name](file, [place for place, _ in PLACES], tmp_path)
    assert dict(zip((place for place, _ in PLACES), offers, strict=True)) == dict(PLACES)


def test_files_and_checks_are_offered_where_they_are_meant(shell: tuple[str, Path], tmp_path: Path) -> None:
    name, file = shell
    (tmp_path / "people.csv").touch()
    places = [("user", "import", ""), ("doctor", "cer"), ("install", "--email", "")]
    offers = {"bash": bash, "zsh": zsh, "fish": fish}[name](file, places, tmp_path)
    assert "people.csv" in offers[0]
    assert offers[1] == {"certificates"} or (name == "zsh" and offers[1] == set())
    assert "people.csv" not in offers[2]


def bash(file: Path, places: list[tuple[str, ...]], folder: Path) -> list[set[str]]:
    lines = "".join(f"{','.join((PROGRAM, *place, 'end'))}\n" for place in places)
    argv = ["bash", "-c", BASH, str(file)]
    done = subprocess.run(argv, cwd=folder, input=lines, capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def fish(file: Path, places: list[tuple[str, ...]], folder: Path) -> list[set[str]]:
    home = {**os.environ, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "fish"), "TERM": "dumb"}
    asked = "".join(f"complete -C '{PROGRAM} {' '.join(place)}'; echo ---;" for place in places)
    argv = ["fish", "--no-config", "-c", f"source {file}; {asked}"]
    done = subprocess.run(argv, cwd=folder, env=home, capture_output=True, text=True, check=True)
    parts = done.stdout.split("---\n")[: len(places)]
    return [{line.split("\t")[0] for line in part.splitlines() if line.split("\t")[0] != "fish"} for part in parts]


def zsh(file: Path, places: list[tuple[str, ...]], folder: Path) -> list[set[str]]:
    (folder / ".zshrc").write_text(ZSH)
    home = {
        "ZDOTDIR": str(folder),
        "SOURCE": str(file.parent),
        "TERM": "dumb",
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
    }
    ours, theirs = pty.openpty()
    argv = ["zsh", "-d", "-i"]
    # In a session of its own, or it would stop as a job in the background.
    with subprocess.Popen(
        argv, cwd=folder, env=home, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as run:
        os.close(theirs)
        try:
            until(ours, "ready> ")
            return [typed(ours, f"{PROGRAM} {' '.join(place)}") for place in places]
        finally:
            run.kill()
            os.close(ours)


def typed(terminal: int, line: str) -> set[str]:
    """What zsh lists for a line at Ctrl-D, up to the answer of a command that is typed once the line is gone."""
    os.write(terminal, line.encode())
    until(terminal, re.escape(line))
    os.write(terminal, b"\x04\x15echo end$((1))\n")
    seen = until(terminal, "end1[^$]*ready> ")
    for noise in (r"\x1b\[[?0-9;]*[A-Za-z]", re.escape(line), "ready>", r"echo end\S*", "end1"):
        seen = re.sub(noise, " ", seen)
    return set(re.findall(r"[\w./-]+", seen))


def until(terminal: int, text: str) -> str:
    """All that is printed until a pattern, at most a minute."""
    seen, end = "", time.monotonic() + 60
    while not re.search(text, seen):
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"{text!r} did not come: {seen!r}"
        seen += os.read(terminal, 65536).decode(errors="replace")
    return seen
