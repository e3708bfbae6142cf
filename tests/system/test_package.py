"""The package builds on each Debian, is clean, and changes nothing on a machine until it is asked to."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Guest, Lab
from tests.system.readme import commands

REPOSITORY = Path(__file__).parents[2]
DEB = "/srv/package.deb"
UNITS = sorted(path.name for path in (REPOSITORY / "units").glob("matrix-*.*"))
BUILD = "cd /srv/tree && dpkg-buildpackage -us -uc -b > /srv/build.log 2>&1"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal"
pytestmark = [
    pytest.mark.lab,
    pytest.mark.own_guests,
    pytest.mark.skipif(os.geteuid() != 0, reason="the lab needs root"),
]


def exposure(guest: Guest, unit: str) -> float:
    """How exposed systemd finds a unit of a guest, from 0 (not at all) to 10 (systemd-analyze security)."""
    said = guest.run(["systemd-analyze", "security", "--no-pager", unit]).stdout
    found = re.search(r"Overall exposure level for .*: ([0-9.]+)", said)
    assert found, said
    return float(found[1])


def unpack_tree(guest: Guest) -> None:
    """Put what git knows of the tree, as it lies there, into /srv/tree of a guest."""
    listed = [
        "git",
        "-c",
        f"safe.directory={REPOSITORY}",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, check=True).stdout.split(b"\0")
    there = b"\0".join(name for name in names if name and (REPOSITORY / os.fsdecode(name)).is_file())
    with tempfile.TemporaryDirectory() as copy:
        pack = ["tar", "--null", "-T", "-", "-cf", f"{copy}/tree.tar"]
        subprocess.run(pack, cwd=REPOSITORY, input=there, check=True)
        guest.put(f"{copy}/tree.tar", "/srv/tree.tar")
    guest.run("rm -rf /srv/tree && mkdir /srv/tree && tar -C /srv/tree --no-same-owner -xf /srv/tree.tar")


# A build runs all unit tests on one processor, for minutes: where Python is not that of the machine that CI runs on.
RELEASES = (pytest.param(12, id="debian12", marks=pytest.mark.long), pytest.param(13, id="debian13"))


@pytest.fixture(scope="module", params=RELEASES)
def builder(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A Debian machine with the tree and what a build depends on, and the package built by dpkg-buildpackage."""
    guest = Lab().up(f"st-build{request.param}", request.param, bare=True)
    unpack_tree(guest)
    guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends dpkg-dev lintian")
    guest.run("cd /srv/tree && apt-get build-dep -q -y --no-install-recommends ./")
    # With all unit tests, on one of the processors, which others may be using.
    guest.run(f"{BUILD} || {{ tail -n 40 /srv/build.log; exit 1; }}", timeout=1800)
    yield guest
    guest.down()


@pytest.fixture(scope="module")
def installed(builder: Guest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A machine of the same Debian on which the package has just been installed."""
    deb = tmp_path_factory.mktemp("deb") / "package.deb"
    builder.get("/srv/matrix-baremetal_0.1.0_all.deb", deb)
    guest = Lab().up(f"st-package{builder.debian}", builder.debian, deb=deb)
    guest.put(deb, DEB)
    guest.run("apt-get update -q && apt-get install -q -y man-db")
    yield guest
    guest.down()


def states(guest: Guest) -> dict[str, tuple[str, str]]:
    """Whether each unit of ours starts at boot, and whether it runs."""
    asked = "systemctl is-enabled {0} || :; systemctl is-active {0} || :"
    found = {unit: guest.run(asked.format(unit)).stdout.split() for unit in UNITS}
    return {unit: (words[0], words[-1]) for unit, words in found.items()}


class TestBuild:
    """dpkg-buildpackage, in the release's own tools."""

    def test_runs_the_unit_tests(self, builder: Guest) -> None:
        passed = re.search(r"^(\d+) passed", builder.read("/srv/build.log"), re.MULTILINE)
        assert passed and int(passed[1]) > 500

    def test_lintian_has_nothing_to_say(self, builder: Guest) -> None:
        said = builder.run("lintian -EvIL +pedantic --allow-root /srv/matrix-baremetal_*.changes", check=False).stdout
        assert [line for line in said.splitlines() if line.startswith(("E:", "W:", "P:"))] == []

    def test_debconf_speaks_german_too(self, builder: Guest) -> None:
        templates = builder.run("dpkg-deb --info /srv/matrix-baremetal_*.deb templates").stdout
        questions = templates.count("\nDescription: ")
        assert questions == 5
        assert templates.count("\nDescription-de.UTF-8: ") == questions

    def test_depends_on_what_it_runs(self, builder: Guest) -> None:
        depends = builder.run("dpkg-deb --field /srv/matrix-baremetal_*.deb Depends").stdout
        wanted = (
            "certbot libjemalloc2 nginx postgresql python3-jinja2 python3-psutil python3-sh python3-venv python3-yaml"
        )
        assert set(wanted.split()) <= {word.split()[0] for word in depends.split(", ")}

    def test_a_build_that_ran_no_test_fails(self, builder: Guest) -> None:
        builder.run("cp -a /srv/tree /srv/untested && rm /srv/untested/tests/*/test_*.py")
        done = builder.run(BUILD.replace("/srv/tree", "/srv/untested"), check=False)
        assert done.returncode != 0
        assert "no tests ran" in builder.read("/srv/build.log")

    def test_leaves_nothing_in_the_tree(self, builder: Guest) -> None:
        left = "cd /srv/tree && debian/rules clean >&2 && find . -type f | sort > /srv/after && tar -tf /srv/tree.tar"
        before = {f"./{name}" for name in builder.run(left).stdout.split()}
        assert set(builder.read("/srv/after").split()) == before


class TestInstalled:
    """What `apt install` alone does, which is nearly nothing."""

    def test_nothing_of_ours_starts(self, installed: Guest) -> None:
        off = dict.fromkeys(UNITS, ("disabled", "inactive"))
        for timer in (unit for unit in UNITS if unit.endswith(".timer")):
            # What a timer starts.
            off[timer.replace(".timer", ".service")] = ("static", "inactive")
        assert states(installed) == off
        assert installed.run("systemctl preset-all --preset-mode=enable-only 2>&1").returncode == 0
        assert states(installed) == off
        assert installed.run("systemctl --failed --quiet --plain").stdout == ""

    def test_takes_no_port(self, installed: Guest) -> None:
        listening = set(re.findall(r":(\d+) ", installed.run("ss -Hltn").stdout))
        assert not listening & {"443", "8008", "8448"}

    def test_brings_no_config(self, installed: Guest) -> None:
        left = installed.run("ls -d /etc/matrix-baremetal /etc/matrix-synapse /var/lib/matrix-synapse", check=False)
        assert left.stdout == ""

    def test_the_user_can_not_log_in(self, installed: Guest) -> None:
        fields = installed.run("getent passwd matrix-synapse").stdout.strip().split(":")
        assert fields[5:] == ["/var/lib/matrix-synapse", "/usr/sbin/nologin"]

    def test_command_and_pages_are_there(self, installed: Guest) -> None:
        assert "examples:" in installed.run("matrix-baremetal --help").stdout
        for page, word in (("8 matrix-baremetal", "EXIT STATUS"), ("5 matrix-baremetal.yaml", "server_name")):
            shown = installed.run(f"man --warnings -P cat {page}", env={"MANPAGER": "cat", "MAN_KEEP_FORMATTING": ""})
            assert word in shown.stdout
            assert shown.stderr == ""

    def test_exposure_is_low(self, installed: Guest) -> None:
        assert exposure(installed, "matrix-synapse.service") <= 1.2
        assert exposure(installed, "matrix-turn.service") <= 1.2
        assert exposure(installed, "matrix-livekit.service") <= 1.2
        assert exposure(installed, "matrix-lk-jwt.service") <= 1.2
        assert exposure(installed, "matrix-ddns.service") <= 1.3
        assert exposure(installed, "matrix-baremetal-address.service") <= 2.0
        assert exposure(installed, "matrix-baremetal-certificates.service") <= 2.0
        assert exposure(installed, "matrix-baremetal-rehearsal.service") <= 2.0
        assert exposure(installed, "matrix-baremetal-backup.service") <= 2.0
        assert exposure(installed, "matrix-baremetal-doctor.service") <= 2.5

    def test_the_hook_is_for_our_certificates_alone(self, installed: Guest) -> None:
        # Where the command has run there is its lock's file.
        for lineage, runs in (("example.org", False), ("matrix-baremetal-example.org", True)):
            installed.run("rm -f /run/lock/matrix-baremetal.lock")
            shown = installed.run([HOOK], env={"RENEWED_LINEAGE": f"/etc/letsencrypt/live/{lineage}"})
            assert (shown.stdout, shown.stderr) == ("", "")
            assert (installed.run("test -e /run/lock/matrix-baremetal.lock", check=False).returncode == 0) is runs

    def test_three_shells_find_their_completion(self, installed: Guest) -> None:
        """Where each looks for it; what they offer is asked in tests/unit/test_completions.py."""
        bash, zsh, fish = (
            installed.read(f"/usr/share/{place}")
            for place in (
                "bash-completion/completions/matrix-baremetal",
                "zsh/vendor-completions/_matrix-baremetal",
                "fish/vendor_completions.d/matrix-baremetal.fish",
            )
        )
        assert bash.endswith("complete -F _matrix_baremetal matrix-baremetal\n")
        assert zsh.startswith("#compdef matrix-baremetal\n")
        assert "complete -c matrix-baremetal -f\n" in fish


class TestRemoved:
    """The package goes, and with it what runs; what people made stays."""

    @pytest.fixture(scope="class")
    @staticmethod
    def removed(installed: Guest) -> Guest:
        installed.write("/etc/matrix-baremetal/config.yaml", "server_name: example.org\n")
        installed.write("/etc/matrix-baremetal/secrets/form_secret", "secret", 0o600)
        installed.run("systemctl enable -q --now matrix-baremetal.target matrix-baremetal-certificates.timer")
        installed.run("systemctl enable -q matrix-synapse.service")
        installed.run("apt-get remove -q -y matrix-baremetal")
        return installed

    def test_no_unit_is_left(self, removed: Guest) -> None:
        assert removed.run("systemctl list-units --all --plain -q 'matrix-*'").stdout == ""
        assert removed.run("systemctl list-unit-files -q 'matrix-*'", check=False).stdout == ""
        assert removed.run("find /etc/systemd/system -name '*matrix*'").stdout == ""

    def test_the_hook_that_is_left_does_no_harm(self, removed: Guest) -> None:
        ours = {"RENEWED_LINEAGE": "/etc/letsencrypt/live/matrix-baremetal-example.org"}
        assert removed.run([HOOK], env=ours).stderr == ""

    def test_a_purge_keeps_config_and_secrets(self, removed: Guest) -> None:
        removed.run("apt-get purge -q -y matrix-baremetal")
        assert removed.read("/etc/matrix-baremetal/config.yaml") == "server_name: example.org\n"
        assert removed.read("/etc/matrix-baremetal/secrets/form_secret") == "secret"
        assert removed.run(f"ls {HOOK}", check=False).stdout == ""

    def test_comes_back(self, removed: Guest) -> None:
        removed.run(f"apt-get install -q -y {DEB}")
        assert set(states(removed).values()) == {("disabled", "inactive"), ("static", "inactive")}


class TestReadme:
    """What its reader types."""

    @pytest.mark.long
    def test_its_commands_install_a_homeserver(self, builder: Guest) -> None:
        # The unit tests of this build have been run on this machine.
        builder.run("echo DEB_BUILD_OPTIONS=nocheck >> /etc/environment")
        for command in commands("### From this tree"):
            said = builder.run(
                f"cd /srv/tree && {command.replace('example.org', builder.domain)}", input="y\n"
            ).stdout
        assert f"{builder.domain} is ready after" in said
        assert "no faults" in said
