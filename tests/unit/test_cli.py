"""The command line: words in, an exit status and a sentence out, never a stack."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from matrix_baremetal import __version__, cli, config
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.words import parser

USER = ("user", *(f"user {action}" for action in ("list", "add", "show", "passwd", "admin", "deactivate", "import")))
TOKEN = ("token", "token create", "token list", "token revoke")
SECRETS = ("secrets", "secrets list", "secrets rotate")
IMAGE = ("image", "image prepare", "image check")
COMMANDS = ("init", "install", "plan", "apply", "render", "status", "doctor", *USER, *TOKEN, *SECRETS, *IMAGE)
SHOW = ("show", "show dns", "show well-known", "show ports", "show oidc", "show config-schema")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a config."""
    file = tmp_path / "etc/matrix-baremetal/config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("server_name: example.org\n")
    return tmp_path


def said(status: int, capsys: Captured) -> tuple[int, str, str]:
    """The status, stdout and stderr, which never hold a stack or an escape code."""
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "\x1b" not in out + err
    return status, out, err


def child(*words: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """The program itself."""
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "matrix_baremetal.cli", *words]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, env=env)


@pytest.mark.parametrize("words", ["", *COMMANDS, *SHOW])
def test_every_command_has_help_with_examples(words: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main([*words.split(), "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert "examples:\n  matrix-baremetal " in text
    assert "--json" in text


def test_the_version_is_told(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"matrix-baremetal {__version__}\n")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "dance",
        "plan --dance",
        "plan now",
        "-v -q plan",
        "user",
        "user dance",
        "user add",
        "render",
        "--js plan",
        "show",
        "show well-known --for iis",
        "backup create --wait nan",
        "uninstall --wait -1",
    ],
)
def test_a_word_that_is_not_known_is_wrong_usage(words: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words.split())
    assert left.value.code == 2
    _, out, err = said(2, capsys)
    assert out == ""
    assert err.splitlines()[-1].startswith("next: matrix-baremetal")


def test_what_is_not_done_yet_is_3_and_a_plan_writes_nothing(root: Path, capsys: Captured) -> None:
    before = sorted(root.rglob("*"))
    status, out, _ = said(cli.main(["--root", str(root), "plan"]), capsys)
    assert status == 3
    assert out.splitlines()[-1].endswith("Nothing has been changed. To do it: matrix-baremetal apply")
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "order", ["{root} {json} plan", "{root} plan {json}", "plan {root} {json}", "{json} plan {root}"]
)
def test_options_may_stand_before_and_behind_the_command(order: str, root: Path, capsys: Captured) -> None:
    words = order.format(root=f"--root={root}", json="--json").split()
    status, out, err = said(cli.main(words), capsys)
    assert (status, err) == (3, "")
    assert json.loads(out)["server_name"] == "example.org"


def test_without_a_config_it_is_2_with_the_next_step(tmp_path: Path, capsys: Captured) -> None:
    status, out, err = said(cli.main(["--root", str(tmp_path), "plan"]), capsys)
    assert (status, out) == (2, "")
    sentence, after = err.splitlines()
    assert sentence.startswith("matrix-baremetal: There is no ")
    assert after.startswith("next: ")
    assert "init" in after


def test_a_config_with_mistakes_is_2_with_all_of_them_and_their_places(root: Path, capsys: Captured) -> None:
    file = root / "etc/matrix-baremetal/config.yaml"
    file.write_text("server_name: Not A Name\nfederation: {enable: false}\n")
    before = sorted(root.rglob("*"))
    for command in ("plan", "apply"):
        status, _, err = said(cli.main(["--root", str(root), command]), capsys)
        assert status == 2
        assert f"{file}:1:14: " in err
        assert f"{file}:2:14: " in err
        assert "did you mean enabled?" in err
    assert [path for path in sorted(root.rglob("*")) if "/run" not in str(path)] == before


def test_an_error_is_a_document_too_where_one_is_asked_for(tmp_path: Path, capsys: Captured) -> None:
    status, out, err = said(cli.main(["--json", "--root", str(tmp_path), "plan"]), capsys)
    document = json.loads(out)
    assert document["status"] == status == 2
    assert document["error"].startswith("There is no ")
    assert document["next"]
    assert err


def test_init_writes_a_config_that_can_be_read_and_never_a_second(tmp_path: Path, capsys: Captured) -> None:
    if os.geteuid() != 0:
        pytest.skip("a config belongs to root")
    words = ["--root", str(tmp_path), "init", "--server-name", "example.org", "--email", "a@example.org", "--yes"]
    assert said(cli.main(words), capsys)[0] == 0
    text = (tmp_path / "etc/matrix-baremetal/config.yaml").read_text()
    status, _, err = said(cli.main(words), capsys)
    assert status == 1
    assert "exists already" in err
    assert (tmp_path / "etc/matrix-baremetal/config.yaml").read_text() == text
    assert (tmp_path / "etc/matrix-baremetal/config.yaml").stat().st_mode & 0o777 == 0o600
    assert said(cli.main(["--root", str(tmp_path), "plan"]), capsys)[0] == 3


def test_init_leaves_out_what_is_not_wanted_and_knows_what_it_may_be(tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "my.yaml"
    words = ["--config", str(file), "init", "--server-name", "a.org", "--yes", "--without"]
    assert said(cli.main([*words, "turn,web_client"]), capsys)[0] == 0
    written = config.decode(file.read_text(), "c")
    assert (written.turn.enabled, written.web_client.kind, written.admin_ui.enabled) == (False, "none", True)
    with pytest.raises(SystemExit):
        cli.main([*words, "turn,mail"])
    assert "'mail' is not one of web_client, admin_ui, turn" in said(2, capsys)[2]


def test_init_leaves_a_directory_that_is_there_as_it_is(tmp_path: Path, capsys: Captured) -> None:
    if os.geteuid() != 0:
        pytest.skip("a config belongs to root")
    tmp_path.chmod(0o1777)
    os.chown(tmp_path, 4711, 4711)
    file = tmp_path / "my.yaml"
    assert said(cli.main(["--config", str(file), "init", "--server-name", "a.org", "--yes"]), capsys)[0] == 0
    seen = tmp_path.stat()
    assert (seen.st_mode & 0o7777, seen.st_uid, seen.st_gid) == (0o1777, 4711, 4711)
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "words",
    [
        "install --admin Bob",
        "install --admin @bob:a.org",
        "user add Bob --generate",
        "--root /nowhere plan",
        "plan --root /nowhere",
        "apply --wheelhouse /nowhere",
        "install --wheelhouse /etc/hostname",
        "apply --wait soon",
        "apply --wait nan",
        "backup create --wait nan",
        "uninstall --wait -1",
        "install --retry -1",
        "user passwd bob --generate --password-stdin",
        "user passwd bob secret",
        "token create --uses 0",
        "token create --uses -1",
        "token create --expires 7",
        "token create --expires 0d",
        "token create --expires 99999w",
        "token revoke a/b",
    ],
)
def test_words_that_can_not_be_are_refused_before_anything_is_read(words: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(words.split())
    assert left.value.code == 2
    _, out, err = said(2, capsys)
    assert out == ""
    assert err.splitlines()[-1].startswith("next: matrix-baremetal")


@pytest.mark.parametrize("words", ["--root // plan", "--root=/proc/self/root/. plan", "plan --root /tmp/.."])
def test_the_root_of_this_machine_is_that_however_it_is_written(words: str) -> None:
    assert parser().parse_args(words.split()).root == "/"


def test_an_output_that_is_no_utf8_is_no_reason_for_a_stack(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = "server_name: example.org\nsynapse: {settings: {hs_disabled_message: 'ä ✓ 👍'}}\n"
    (root / "etc/matrix-baremetal/config.yaml").write_text(words)
    shown = []
    for options in (["-v"], ["--json"]):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
        assert cli.main(["--root", str(root), "plan", *options]) == 3
        shown.append(raw.getvalue().decode("ascii"))
    assert r"\xe4 \u2713" in shown[0]
    assert any("ä ✓" in str(change) for change in json.loads(shown[1])["changes"])


def test_without_any_output_a_command_still_does_its_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, stream, None)
    assert cli.main(["--root", str(root), "plan"]) == 3
    assert cli.main(["--root", str(root / "etc"), "init"]) == 2


def test_without_a_terminal_nothing_is_asked_and_what_is_missing_is_named(tmp_path: Path) -> None:
    process = child("--root", str(tmp_path), "init")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--server-name" in err
    assert err.splitlines()[-1].startswith("next: ")
    assert list(tmp_path.rglob("*")) == []


def test_a_lock_that_is_held_is_1_and_says_by_whom(root: Path, capsys: Captured) -> None:
    with locked(Host(root), "upgrade"):
        status, _, err = said(cli.main(["--root", str(root), "apply"]), capsys)
    assert status == 1
    assert "another run is at work: upgrade (since " in err
    assert f"process {os.getpid()})" in err


def test_ctrl_c_is_130_and_says_how_to_go_on(root: Path) -> None:
    with locked(Host(root), "upgrade"):
        process = child("--root", str(root), "-v", "apply", "--wait", "60")
        while not waiting(process.pid):
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert "the same command goes on from here" in err


def waiting(pid: int) -> bool:
    """Whether a process has the lock's file open."""
    try:
        return any(os.readlink(link).endswith(".lock") for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


@pytest.mark.parametrize("words", ["plan", "plan -v", "plan --json", "--help", "plan --help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_left_is_no_reason_for_a_stack(words: str, unbuffered: str, root: Path) -> None:
    process = child("--root", str(root), *words.split(), env=os.environ | {"PYTHONUNBUFFERED": unbuffered})
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    assert process.stderr.read() == ""
    # argparse of Python 3.13 passes over a help that nobody read.
    assert process.wait(timeout=60) in ((0, 1) if "--help" in words else (1,))
    process.stderr.close()


def test_only_what_a_command_needs_is_imported() -> None:
    script = "import sys; from matrix_baremetal.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    script += "print([m for m in ('yaml', 'jinja2', 'psutil', 'sh', 'rich', 'http.client') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"
