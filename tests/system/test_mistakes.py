"""What operators get wrong: a sentence, the next step, the right status, and nothing has changed."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.system import invariants
from tests.system.site import CONFIG, Site

pytestmark = pytest.mark.lab

# Another run, for as long as we like.
HOLD = """
import fcntl, json, os, time
file = open("/run/lock/matrix-baremetal.lock", "w")
fcntl.flock(file, fcntl.LOCK_EX)
file.write(json.dumps({"command": "apply", "pid": os.getpid(), "since": "12:34:56"}))
file.flush()
print("held", flush=True)
time.sleep(60)
"""
CONFIGS = {
    "typo": ("server_name: {name}\nacme:\n  emial: a@b.org\n", "3:3: ", "did you mean email?"),
    "type": ("server_name: {name}\nfederation: yes please\n", "2:13: ", ""),
    "twice": ("server_name: {name}\nserver_name: {name}\n", "2:1: ", "given twice"),
    "tab": ("server_name: {name}\nacme:\n\temail: a@b.org\n", "3:1: ", "tab"),
    "empty": ("", "1:1: ", ""),
    "name": ("server_name: 'https://{name}'\n", "1:14: ", ""),
    "open": ("server_name: {name}\nregistration: open\n", "2:1: ", "use token, or add to synapse.settings"),
    "settings": ("server_name: {name}\nsynapse: {{settings: {{server_name: other.test}}}}\n", "2:", "server_name"),
}


@pytest.mark.parametrize("mistake", list(CONFIGS))
def test_a_mistake_in_the_config_names_its_place(site_for_mistakes: Site, mistake: str) -> None:
    site = site_for_mistakes
    text, place, says = CONFIGS[mistake]
    good, before = site.guest.read(CONFIG), site.runs()
    site.guest.write(CONFIG, text.format(name=site.server_name))
    try:
        for word in ("plan", "apply", "status"):
            done = site.mb(word, status=2)
            assert f"{CONFIG}:{place}" in done.stderr, done.stderr
            assert says in done.stderr, done.stderr
            assert done.stdout == ""
    finally:
        site.guest.write(CONFIG, good)
    assert site.runs() == before


@pytest.fixture(scope="module")
def site_for_mistakes(standing: Site) -> Site:
    """One site for all of them: none may change anything."""
    return standing


def test_nobody_but_root_can_change_anything(standing: Site) -> None:
    for word in ("plan", "apply", "install", "status", "user list"):
        done = standing.guest.run(["matrix-baremetal", *word.split()], user="nobody", check=False)
        assert done.returncode == 1, (word, done)
        assert "root" in done.stderr, (word, done.stderr)
        assert "Traceback" not in done.stderr + done.stdout


def test_another_server_name_is_refused(standing: Site) -> None:
    good, before = standing.guest.read(CONFIG), standing.runs()
    standing.guest.write(CONFIG, good.replace(standing.server_name, "other.test"))
    done = standing.mb("apply", status=1)
    assert f"this homeserver is {standing.server_name} and can't become other.test" in done.stderr
    assert f"set server_name: {standing.server_name}" in done.stderr
    standing.guest.write(CONFIG, good)
    assert standing.runs() == before


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "required: COMMAND"),
        (("instal",), "there is no command"),
        (("apply", "--fast"), "unrecognized arguments"),
        (("plan", "--config", "/nowhere.yaml"), "There is no /nowhere.yaml yet."),
        (("user",), "required: ACTION"),
    ],
)
def test_wrong_words(standing: Site, words: tuple[str, ...], says: str) -> None:
    assert says in standing.mb(*words, status=2).stderr


def test_errors_are_json_too(standing: Site) -> None:
    done = standing.mb("plan", "--config", "/nowhere.yaml", "--json", status=2)
    document = json.loads(done.stdout)
    assert document["status"] == 2
    assert document["error"]
    assert document["next"]


def test_two_runs_at_once(standing: Site) -> None:
    """The second says who is at work, or waits for it; a run that was killed holds up nobody."""
    holding = standing.guest.popen(["python3", "-c", HOLD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert holding.stdout and holding.stdout.readline() == "held\n"
    done = standing.mb("apply", status=1)
    assert "another run is at work: apply (since 12:34:56, process " in done.stderr
    assert standing.mb("plan").returncode == 0, "looking is always allowed"
    holding.kill()
    holding.communicate()
    standing.mb("apply")


@pytest.mark.sampled(13)
def test_it_waits_for_another_run_where_asked_to(site: Site) -> None:
    site.change({"max_upload_size": "20M"})
    command = ["matrix-baremetal", "apply", "--wait", "60"]
    runs = [
        site.guest.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0], said
    assert sum("Nothing was changed" in stdout for stdout, _ in said) == 2, said
    invariants.hold(site)


def test_nothing_is_asked_and_nothing_is_drawn_without_a_terminal(fresh: Site) -> None:
    fresh.guest.quick("rm", "-f", CONFIG)
    done = fresh.mb("install", "--unattended", status=2)
    assert "the server name is missing" in done.stderr
    assert "--server-name" in done.stderr
    for name in (
        "https://x.test",
        "1.2.3.4",
        "under_score.test",
        "x.test:8448",
        "-x.test",
        "x..test",
        "$(reboot).test",
    ):
        done = fresh.mb("init", f"--server-name={name}", "--yes", status=2)
        assert "server" in done.stderr, done.stderr
        assert fresh.guest.run(["test", "-e", CONFIG], check=False).returncode == 1
    closed = fresh.guest.run("set -o pipefail; matrix-baremetal --help | head -1", check=False)
    assert "Traceback" not in closed.stderr + closed.stdout
