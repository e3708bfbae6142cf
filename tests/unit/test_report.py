"""The pages for people and the documents for programs."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from matrix_baremetal import report
from matrix_baremetal.converge import Change
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.progress import Live, Progress, telling
from matrix_baremetal.resources.resource import Difference
from tests.fakes import a_site

Captured = pytest.CaptureFixture[str]
NEW = Change(
    "File",
    "/etc/new",
    "file /etc/new",
    "create",
    "create",
    (Difference("path", "", "/etc/new"), Difference("content", "", "a\nb\n"), Difference("mode", "", "0644")),
)
EDITED = Change(
    "File",
    "/etc/old",
    "file /etc/old",
    "update",
    "update",
    (Difference("content", "a\nb\nc\n", "a\nx\nc\n"), Difference("mode", "0600", "0644")),
    edited=True,
)
STALE = Change("Service", "a.service", "a.service", "update", "restart", (Difference("stale", "yes", "no"),))
STARTED = Change("Service", "b.service", "b.service", "update", "start", (Difference("active", "no", "yes"),))
GONE = Change("Link", "/etc/l", "link /etc/l", "remove", "remove")
PAGE = """\
What apply would change for example.org, in this order:

  + create   file /etc/new  (2 lines)
  ~ update   file /etc/old
      changed by hand; what is there now will be kept aside
      @@ -1,3 +1,3 @@
       a
      -b
      +x
       c
      mode: 0600 → 0644
  ~ restart  a.service
      what it reads has changed since it started
  + start    b.service
  - remove   link /etc/l

1 to create, 1 to update, 1 to restart, 1 to start, 1 to remove. \
Nothing has been changed. To do it: matrix-baremetal apply
"""
KEYS = ["kind", "name", "title", "action", "verb", "differences", "outcome", "edited", "kept"]
KEYS += ["reason", "hint", "seconds"]


def page(
    changes: Sequence[Change],
    capsys: Captured,
    obstacles: Sequence[Obstacle] = (),
    *,
    json: bool = False,
    verbose: bool = False,
) -> str:
    report.plan(a_site(), changes, obstacles, json=json, verbose=verbose)
    return capsys.readouterr().out


def test_a_plan_is_a_page_in_the_order_of_making_without_escape_codes(capsys: Captured) -> None:
    assert page([NEW, EDITED, STALE, STARTED, GONE], capsys) == PAGE


def test_what_a_new_file_holds_is_shown_when_asked_for(capsys: Captured) -> None:
    text = page([NEW], capsys, verbose=True)
    for line in ("      path: /etc/new", "      +a", "      +b", "      mode: 0644"):
        assert line in text.splitlines()


def test_what_nobody_can_tell_is_not_called_new(capsys: Captured) -> None:
    unknown = Change("Role", "a", "role a", "update", verb="check", differences=(Difference("known", "no", "yes"),))
    text = page([unknown], capsys)
    assert "  ~ check    role a\n      nobody can tell as long as Postgres is down\n" in text


def test_a_plan_that_can_not_be_done_ends_with_what_is_in_the_way(capsys: Captured) -> None:
    text = page([NEW], capsys, [Obstacle("a wall", "a door"), Obstacle("a moat", "a bridge")])
    assert "matrix-baremetal apply" not in text
    assert text.splitlines()[-5:] == ["✗ a wall", "  next: a door", "", "✗ a moat", "  next: a bridge"]


def test_a_plan_without_changes_says_so(capsys: Captured) -> None:
    assert page([], capsys) == "example.org is as its config says. There is nothing to do.\n"


def test_a_plan_as_json_has_the_keys_that_are_promised(capsys: Captured) -> None:
    document = json.loads(page([NEW, STALE], capsys, [Obstacle("a wall", "a door")], json=True))
    assert list(document) == ["server_name", "changes", "obstacles", "newer"]
    assert document["obstacles"] == [{"message": "a wall", "hint": "a door"}]
    assert [list(row) for row in document["changes"]] == [KEYS, KEYS]
    assert document["changes"][1]["differences"] == [{"field": "stale", "before": "yes", "after": "no"}]


def test_how_a_run_ended_is_told_and_what_is_pending_with_its_reason(capsys: Captured) -> None:
    pending = replace(STARTED, title="certificate for a.org", outcome="pending", reason="no DNS")
    report.applied(a_site(), [replace(NEW, outcome="done", seconds=1.25), pending], json=False, quiet=False)
    text = capsys.readouterr().out
    assert text.startswith(("1 changes in ", "1 change in "))
    assert "certificate for a.org is pending: no DNS" in text
    assert text.rstrip().endswith("matrix-baremetal apply")


def test_of_what_waits_for_its_operator_the_next_step_is_told(capsys: Captured) -> None:
    waits = replace(STARTED, kind="Download", title="download x", outcome="pending", reason="404", hint="curl -I x")
    report.applied(a_site(), [waits, replace(waits, hint=None)], json=False, quiet=False)
    told = capsys.readouterr().out.splitlines()[1:]
    last = "matrix-baremetal apply"
    row = "download x is pending: 404."
    assert told == [row, "  next: curl -I x", f"  then: {last}", row, f"  next: {last}"]


def test_a_run_that_changed_nothing_says_so_and_a_quiet_one_nothing(capsys: Captured) -> None:
    report.applied(a_site(), [], json=False, quiet=False)
    assert capsys.readouterr().out == "example.org is as its config says. Nothing was changed.\n"
    report.applied(a_site(), [], json=False, quiet=True)
    assert capsys.readouterr().out == ""


def test_how_a_run_ended_as_json(capsys: Captured) -> None:
    report.applied(a_site(), [replace(NEW, outcome="done")], json=True, quiet=False)
    document = json.loads(capsys.readouterr().out)
    assert (document["server_name"], document["pending"]) == ("example.org", 0)
    assert [row["outcome"] for row in document["changes"]] == ["done"]


def test_progress_is_a_line_as_each_step_ends_and_nothing_else_without_a_terminal(capsys: Captured) -> None:
    with telling(json=False, quiet=False) as progress:
        progress.tell(replace(NEW, outcome="begun"))
        assert capsys.readouterr().out == ""
        progress.tell(replace(NEW, outcome="done", seconds=1.26, kept=("/var/kept",)))
        lines = capsys.readouterr().out.splitlines()
        progress.tell(replace(STARTED, outcome="pending", reason="not yet"))
        waiting = capsys.readouterr().out
    assert lines[0] == "  ✓   1.3 s  create file /etc/new"
    assert "/var/kept" in lines[1]
    assert waiting.splitlines()[0].startswith("  !")
    assert "pending: not yet" in waiting


@pytest.mark.parametrize(("as_json", "quiet"), [(True, False), (False, True)])
def test_with_json_or_quiet_there_is_no_progress(as_json: bool, quiet: bool, capsys: Captured) -> None:
    with telling(json=as_json, quiet=quiet) as progress:
        progress.tell(replace(NEW, outcome="done"))
    assert capsys.readouterr().out == ""


def test_a_table_has_columns_and_no_spaces_at_the_end() -> None:
    assert report.table([("a", "bb", ""), ("ccc", "d", "e")]) == "a    bb\nccc  d   e"
    assert report.table([]) == ""


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is not."""
        return True


def test_prose_is_broken_between_words_on_a_terminal_and_nowhere_else() -> None:
    text = "one " * 30 + "/a/path/of/" + "many/" * 20 + "parts\nsecond line"
    assert report.wrapped(text, 2, io.StringIO()) == text
    lines = report.wrapped(text, 2, Terminal()).splitlines()
    assert lines[1].startswith("  one")
    assert all(len(line) <= 80 for line in lines if "/a/path" not in line)
    assert "/a/path/of/" + "many/" * 20 + "parts" in lines[-2], "a path is never broken"
    assert lines[-1] == "second line"


def test_the_plan_on_a_terminal_is_the_page_in_colours_with_its_lines_broken() -> None:
    where = "/etc/systemd/system/postgresql@17-main.service.d/50-matrix-baremetal.conf"
    new = (Difference("content", "", "a\nb\n"),)
    verbs = (
        "create",
        "start",
        "remove",
        "forget",
        "wait",
        "update",
        "switch",
        "check",
        "reload",
        "restart",
        "enable",
    )
    changes = [Change("K", verb, f"file {where}", "create", verb, new) for verb in verbs]
    shown = Terminal()
    with contextlib.redirect_stdout(shown):
        report.plan(a_site(), changes, [Obstacle("word " * 30, "next")], json=False, verbose=False)
    text = re.sub("\x1b\\[[0-9;]*m", "", shown.getvalue())
    assert all(len(line) <= 80 for line in text.splitlines())
    assert " ".join(text.split()).count(f"{where} (2 lines)") == len(verbs)


class Watched(Live):
    """Somebody watches, and what is drawn is kept here."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, text: str) -> None:
        """Not kept."""

    def say(self, line: str) -> None:
        """Kept."""
        self.lines.append(line)


def test_who_watches_is_spared_what_takes_no_time() -> None:
    watched = Watched()
    progress = Progress(quiet=False, live=watched)
    for change in (
        replace(NEW, outcome="done"),
        replace(NEW, outcome="done", seconds=0.01),
        replace(NEW, outcome="done", seconds=2.0),
        replace(NEW, outcome="done", kept=("/var/kept",)),
        replace(NEW, outcome="pending", reason="not yet"),
        replace(NEW, action="update", verb="update", outcome="done"),
    ):
        progress.tell(change)
    progress.end()
    told = [line.split("s  ", 1)[-1].strip() for line in watched.lines]
    assert [line for line in told if "small" in line] == ["✓          create 2 small things more (-v names each)"]
    assert sum("/etc/new" in line for line in told) == 4


def test_counts_are_words_and_pages_are_set_in() -> None:
    assert (report.several("directory", 1), report.several("directory", 2)) == ("1 directory", "2 directories")
    assert report.several("file", 3) == "3 files"
    assert report.indented("a\n\nb") == "  a\n\n  b"
