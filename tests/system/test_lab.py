"""The lab does what it says: a pretend internet, and Debian machines that boot, answer, lose power and come back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import CommandFailed, CommandTimeout, Guest, Lab, LabError, dns
from tests.system.test_lab_dns import query

REPOSITORY = Path(__file__).parents[2]
Boot = Callable[..., Guest]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root")


def lab_command(*words: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([REPOSITORY / "bin/lab", *words], input=input, capture_output=True, text=True, check=False)


@pytest.fixture
def lab() -> Lab:
    return Lab()


@pytest.fixture
def boot(lab: Lab) -> Iterator[Boot]:
    """Boots guests that are gone after the test, and starts without those that a killed run left."""
    names: set[str] = set()

    def up(name: str, debian: int = 13, **options: object) -> Guest:
        if name not in names:
            lab.down(name)
            names.add(name)
        return lab.up(name, debian, bare=True, **options)  # type: ignore[arg-type]

    yield up
    for name in names:
        lab.down(name)


def boots(guest: Guest) -> str:
    """Another text after each boot; none while it is down."""
    try:
        return guest.quick("cat", "/proc/sys/kernel/random/boot_id", check=False).decode()
    except LabError:
        return ""


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("debian", [12, 13])
def test_a_guest_boots(boot: Boot, lab: Lab, debian: int) -> None:
    lab.down("lt-first")
    lab.up("lt-first", debian, bare=True)  # its base may have to be made first: that is no boot
    lab.down("lt-first")
    began = time.monotonic()
    guest = boot("lt-boot", debian)
    sys.stderr.write(f"\nDebian {debian}: a new guest after {time.monotonic() - began:.2f} s\n")
    assert guest.read("/etc/debian_version").startswith(str(debian))
    assert guest.run(["systemctl", "is-system-running"]).stdout == "running\n"
    assert guest.run("systemctl --failed --plain --no-legend").stdout == ""


@pytest.mark.lab
@needs_root
def test_commands_pass_on_status_streams_and_end(boot: Boot) -> None:
    guest = boot("lt-run")
    assert guest.run(["cat"], input="over stdin\n").stdout == "over stdin\n"
    done = guest.run("echo out; echo err >&2; exit 7", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    with pytest.raises(CommandFailed, match="exit 3"):
        guest.run("exit 3")
    assert guest.run(["no-such-program"], check=False).returncode == 127
    assert guest.run("id -un; echo $WHO", user="nobody", env={"WHO": "me"}).stdout == "nobody\nme\n"
    with pytest.raises(CommandTimeout):
        guest.run(["sleep", "1001"], timeout=1)
    assert guest.quick("pgrep", "-x", "sleep", check=False) == b""


@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_command_ends_with_its_caller(boot: Boot, number: signal.Signals) -> None:
    guest = boot("lt-end")
    # A shell that starts us in the background lets us ignore SIGINT, and nohup SIGHUP; the caller must not.
    heeding = ("env", "--default-signal=INT,TERM,HUP")
    caller = subprocess.Popen([*heeding, REPOSITORY / "bin/lab", "run", "lt-end", "--", "sleep", "1002"])
    while not guest.quick("pgrep", "-x", "sleep", check=False):
        time.sleep(0.05)
    caller.send_signal(number)
    caller.wait(60)
    guest.run(["true"])
    assert guest.quick("pgrep", "-x", "sleep", check=False) == b""


@pytest.mark.lab
@needs_root
def test_the_command_line(boot: Boot, tmp_path: Path) -> None:
    boot("lt-cli")
    assert lab_command("run", "lt-cli", "--", "sh", "-c", "exit 5").returncode == 5
    assert lab_command("run", "lt-cli", "--", "cat", input="hi").stdout == "hi"
    assert "lt-cli " in lab_command("list").stdout
    (tmp_path / "file").write_text("text")
    assert lab_command("put", "lt-cli", str(tmp_path / "file"), "/srv/").returncode == 0
    assert lab_command("get", "lt-cli", "/srv/file", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_text() == "text"
    assert lab_command("down", "lt-cli").returncode == 0
    failed = lab_command("run", "lt-cli", "--", "true")
    assert failed.returncode == 1
    assert failed.stderr == "lab: there is no guest lt-cli\n  run: bin/lab up lt-cli\n"


@pytest.mark.lab
@needs_root
def test_files_go_in_and_out(boot: Boot, tmp_path: Path) -> None:
    guest = boot("lt-files")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/program").write_text("#!/bin/sh\necho hello\n")
    (tree / "sub/program").chmod(0o750)
    guest.put(tree, "/opt/tree")
    assert guest.run(["/opt/tree/sub/program"]).stdout == "hello\n"
    guest.get("/opt/tree", tmp_path / "back")
    assert (tmp_path / "back/sub/program").read_text() == (tree / "sub/program").read_text()
    guest.write("/etc/made/secret", "shh\n", 0o600)
    assert guest.run("stat -c '%a %U' /etc/made/secret").stdout == "600 root\n"
    assert guest.read("/etc/made/secret") == "shh\n"


@pytest.mark.lab
@needs_root
def test_what_was_written_survives_the_plug_and_a_reboot(boot: Boot) -> None:
    guest = boot("lt-plug", 12)
    identity = guest.read("/etc/machine-id")
    guest.write("/root/kept", "1")
    guest.kill()
    assert not guest.alive
    boot("lt-plug", 12)
    assert guest.read("/root/kept") == "1"
    guest.reboot()
    assert guest.read("/root/kept") == "1"
    assert guest.read("/etc/machine-id") == identity
    with pytest.raises(LabError, match="Debian 12"):
        boot("lt-plug", 13)


@pytest.mark.lab
@needs_root
def test_a_guest_may_restart_itself(boot: Boot) -> None:
    guest = boot("lt-self")
    guest.write("/root/kept", "1")
    before = boots(guest)
    guest.run(["systemctl", "reboot"], check=False)
    end = time.monotonic() + 60
    while boots(guest) in ("", before):
        assert time.monotonic() < end
        time.sleep(0.2)
    boot("lt-self")
    assert guest.read("/root/kept") == "1"
    guest.run(["ping", "-c1", "-W2", "10.77.0.2"])


@pytest.mark.lab
@needs_root
def test_a_killed_run_leaves_nothing_that_the_next_minds(boot: Boot, lab: Lab) -> None:
    lab.down("lt-killed")
    for seconds in (0.15, 0.25, 0.35, 0.45, 0.6):
        run = subprocess.Popen([REPOSITORY / "bin/lab", "up", "lt-killed", "--bare"])
        time.sleep(seconds)
        run.kill()
        run.wait()
        guest = boot("lt-killed") if seconds > 0.4 else lab.up("lt-killed", bare=True)
        assert guest.run(["systemctl", "is-system-running"]).stdout == "running\n"
        lab.down("lt-killed")
    assert not Path("/run/netns/mblab-lt-killed").exists()
    assert "lt-killed" not in Path("/proc/self/mounts").read_text()


@pytest.mark.lab
@needs_root
def test_guests_find_each_other_by_name(boot: Boot, lab: Lab) -> None:
    one, two = boot("lt-one"), boot("lt-two", 12)
    for name in ("lt-two.test", "matrix.lt-two.test", "any.thing.lt-two.test"):
        said = one.run(["getent", "ahosts", name]).stdout
        assert two.ip in said
        assert two.ip6 in said
    one.run(["ping", "-4", "-c1", "-W2", "lt-two.test"])
    one.run(["ping", "-6", "-c1", "-W2", "lt-two.test"])
    assert one.run(["getent", "hosts", "nobody.test"], check=False).returncode == 2
    lab.dns.set("other.test", a=[two.ip])
    assert two.ip in one.run(["getent", "ahostsv4", "other.test"]).stdout
    lab.dns.delete("lt-two.test")
    assert one.run(["getent", "hosts", "lt-two.test"], check=False).returncode == 2
    lab.dns.reset("other.test")
    lab.dns.reset("lt-two.test")
    one.run(["getent", "hosts", "lt-two.test"])


@pytest.mark.lab
@needs_root
def test_dns_over_both_transports(boot: Boot) -> None:
    guest = boot("lt-dns")
    asked = query("matrix.lt-dns.test", dns.A)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(asked, ("10.77.0.2", 53))
        said = s.recv(512)
    assert said.endswith(socket.inet_aton(guest.ip))
    with socket.create_connection(("10.77.0.2", 53), timeout=5) as s:
        s.sendall(len(asked).to_bytes(2, "big") + asked)
        assert s.recv(512)[2:] == said


@pytest.mark.lab
@needs_root
def test_a_frozen_guest_is_what_others_start_from(boot: Boot, lab: Lab) -> None:
    guest = boot("lt-frozen")
    guest.write("/srv/installed", "yes")
    identity = guest.read("/etc/machine-id")
    lab.snapshot(guest, "lt-test")
    began = time.monotonic()
    thawed = boot("lt-thawed", lower="lt-test")
    sys.stderr.write(f"\na guest from a snapshot after {time.monotonic() - began:.2f} s\n")
    assert thawed.read("/srv/installed") == "yes"
    assert thawed.read("/etc/machine-id") != identity
    assert lab.has_snapshot("lt-test")
    with pytest.raises(LabError, match="in use by lt-thawed"):
        lab.snapshot(guest, "lt-test")
    thawed.down()
    lab.forget("lt-test")
    assert not lab.has_snapshot("lt-test")


@pytest.mark.lab
@needs_root
def test_directories_of_this_machine_show_in_a_guest(boot: Boot, tmp_path: Path) -> None:
    (tmp_path / "wheel").write_text("w")
    guest = boot("lt-bind", binds=[(tmp_path, "/srv/wheels")])
    assert guest.read("/srv/wheels/wheel") == "w"
    assert guest.run(["touch", "/srv/wheels/no"], check=False).returncode == 1


@pytest.mark.takes_internet_away
@pytest.mark.lab
@needs_root
@pytest.mark.parametrize("debian", [12, 13])
def test_certbot_gets_a_certificate_that_the_client_trusts(boot: Boot, lab: Lab, debian: int) -> None:
    guest = boot("lt-cert", debian)
    guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends certbot")
    issue = "certbot certonly --standalone -n --agree-tos -m admin@lt-cert.test -d lt-cert.test -d"
    guest.run(f"{issue} matrix.lt-cert.test")
    live = "/etc/letsencrypt/live/lt-cert.test"
    chain = f"-cert {live}/fullchain.pem -cert_chain {live}/fullchain.pem -key {live}/privkey.pem"
    serving = guest.popen(f"exec openssl s_server -accept 443 -www {chain}", stdout=subprocess.DEVNULL)
    wait = [
        "curl",
        "-sS",
        "--retry",
        "20",
        "--retry-delay",
        "1",
        "--retry-connrefused",
        "https://matrix.lt-cert.test",
    ]
    assert "s_server" in lab.client(wait).stdout
    assert "s_server" in guest.run(wait).stdout
    serving.terminate()
    serving.wait()

    lab.acme_stop()
    try:
        assert guest.run(f"{issue} chat.lt-cert.test --expand", check=False).returncode == 1
    finally:
        lab.acme_start()
    guest.run(f"{issue} chat.lt-cert.test --expand")


@pytest.mark.lab
@needs_root
def test_guests_reach_the_package_registries(boot: Boot) -> None:
    guest = boot("lt-out")
    guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends python3-pip")
    guest.run("pip download -q --no-deps --dest /tmp iniconfig", timeout=60)
