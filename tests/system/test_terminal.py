"""`init` and `install` as a person meets them, in a terminal of 80 columns."""

from __future__ import annotations

import re

import pytest

from tests.system import invariants
from tests.system.site import CONFIG, WHEELS, Site
from tests.system.terminal import PROMPT, Terminal

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
STEP = r"^[⠁-⣿] 0:0\d:\d\d "


@pytest.fixture
def nothing(fresh: Site) -> Site:
    """Our package, and no config."""
    fresh.guest.run(["rm", CONFIG])
    return fresh


def test_from_two_questions_to_a_homeserver(nothing: Site) -> None:
    """Asked twice, corrected kindly, shown what comes; left by Ctrl-C in mid-work; finished by the same command."""
    name = nothing.server_name
    with Terminal(nothing.guest) as terminal:
        terminal.type("P=web_client,admin_ui")  # apart, as the terminal would break a longer line
        terminal.type(f"matrix-baremetal install --admin alice --wheelhouse {WHEELS} --without $P")
        shown = terminal.wait_for(r"^Server name( \[\S+\])?:")
        assert "It can never be changed later." in shown
        terminal.type(f"https://{name}/")
        terminal.wait_for(r"(?s)Server name.*Server name")
        terminal.type(name)
        terminal.wait_for(r"^E-mail .*:")
        terminal.type("nobody")
        terminal.wait_for(r"(?s)E-mail.*E-mail")
        terminal.type(f"admin@{name}")
        terminal.wait_for(STEP)
        shown = terminal.wait_for("virtualenv /opt/matrix-baremetal/synapse")
        assert re.search(rf"^  {re.escape(name)} +A +", shown, re.MULTILINE), shown
        assert "What comes now (stop it with Ctrl-C at any time" in shown
        assert shown.index("The DNS records") < shown.index("What comes now") < shown.index("✓")
        questions = re.findall(r"^(?:Server name|E-mail)", shown, re.MULTILINE)
        assert len(questions) == 4, "two questions, each asked again after a bad answer"
        terminal.press("C-c")
        shown = terminal.wait_for(PROMPT, 120)
        assert "the same command goes on from here" in shown
        assert re.search(r"^  ✓ +\d+\.\d s  create virtualenv", shown, re.MULTILINE), "the step under way ends whole"
        assert terminal.broken == []
        terminal.clear()

        terminal.type("echo ended with $?")
        terminal.wait_for("^ended with 130$")
        nothing.change()
        terminal.type(f"matrix-baremetal install --admin alice --wheelhouse {WHEELS}")
        shown = terminal.wait_for(rf"^{re.escape(name)} is ready after \d+ s\.$", 120)
        assert "Server name" not in shown
        shown = terminal.wait_for(r"doctor[^$]*" + PROMPT)
        assert re.search(r"^  ✓ +\d+\.\d s  start matrix-synapse", shown, re.MULTILINE), shown
        assert nothing.password("alice") in shown, "a person at a terminal sees the password that was drawn"
        assert terminal.broken == []
        assert not re.search(STEP, shown, re.MULTILINE), "what was under way is no longer shown"
    invariants.hold(nothing)


def test_left_at_a_question_nothing_is_there(nothing: Site) -> None:
    """Ctrl-C and Ctrl-D at either question, of either command."""
    with Terminal(nothing.guest) as terminal:
        for command in ("init", "install"):
            for key, words in (("C-c", "stopped"), ("C-d", "no answer was given")):
                terminal.clear()
                terminal.type(f"matrix-baremetal {command}")
                terminal.wait_for("^Server name.*:")
                terminal.type(nothing.server_name)
                terminal.wait_for("^E-mail.*:")
                terminal.press(key)
                shown = terminal.wait_for(PROMPT)
                assert words in shown, shown
                assert "Traceback" not in shown
                assert terminal.broken == []
    there = f"ls -A {CONFIG} /var/lib/matrix-baremetal /etc/matrix-synapse 2>/dev/null"
    assert nothing.guest.run(there, check=False).stdout == ""


def test_what_init_asks_is_all_that_is_needed(nothing: Site) -> None:
    """The defaults are taken from the machine, and the config that comes of them is one that plan takes."""
    nothing.guest.run(["hostname", nothing.hostname])
    with Terminal(nothing.guest) as terminal:
        terminal.type("matrix-baremetal init")
        terminal.wait_for(rf"^Server name \[{re.escape(nothing.server_name)}\]:")
        terminal.press("Enter")
        terminal.wait_for(r"^E-mail.*\(may be empty\):")
        terminal.press("Enter")
        assert f"Wrote {CONFIG}." in terminal.wait_for(PROMPT)
        terminal.clear()
        terminal.type("matrix-baremetal plan")
        shown = terminal.wait_for(PROMPT, 60)
        assert "Nothing has been changed." in " ".join(shown.split()), shown
        assert terminal.broken == []
