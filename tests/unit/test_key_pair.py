"""The operator's own pair: what is wrong with it, the copy that is served, and the way from one mode to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal.converge import Change, converge, plan
from matrix_baremetal.errors import Pending
from matrix_baremetal.resources.key_pair import KeyPair, mistakes
from matrix_baremetal.resources.x509 import X509, look
from matrix_baremetal.shell import Result
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

TLS = "/etc/matrix-baremetal/tls/example.org"
CERTIFICATE, KEY = "/srv/tls/fullchain.pem", "/srv/tls/privkey.pem"
FILES = f"{MINIMAL}tls: {{mode: files, certificate: {CERTIFICATE}, key: {KEY}}}\n"
SELF_SIGNED = f"{MINIMAL}tls: {{mode: self-signed}}\n"
NAMES = ["example.org", "matrix.example.org"]
PAIR = KeyPair(TLS, CERTIFICATE, KEY)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.certificate("/srv/tls", NAMES)
    return machine


def wrong(machine: Machine, *names: str) -> list[str]:
    found = list(mistakes(FakeHost(machine), CERTIFICATE, KEY, names or tuple(NAMES)))
    assert all(hint for _, hint in found)
    return [message for message, _ in found]


def test_a_sound_pair_has_no_mistake_and_is_only_looked_at(machine: Machine) -> None:
    before = machine.tree()
    assert wrong(machine) == []
    assert machine.tree() == before
    assert machine.changing() == []


@pytest.mark.parametrize(
    ("names", "covered"),
    [
        (["example.org", "*.example.org"], True),
        (["*.example.org"], False),
        (["example.org", "*.org"], False),
        (["matrix.example.org"], False),
        (["EXAMPLE.org", "Matrix.Example.ORG"], True),
        ([], False),
    ],
)
def test_it_is_for_all_our_names_by_themselves_or_by_a_wildcard(
    names: list[str], covered: bool, machine: Machine
) -> None:
    machine.certificate("/srv/tls", names)
    assert (wrong(machine) == []) == covered


def test_all_that_is_wrong_is_said_at_once(machine: Machine) -> None:
    machine.certificate("/srv/tls", ["shop.org"], days=-3, age=90, chain=False)
    machine.put(KEY, "key of another", 0o644)
    assert [message.partition(" (")[0] for message in wrong(machine)] == [
        f"{KEY} is not the key of {CERTIFICATE}",
        f"{KEY} can be read by every user of this machine",
        *[m for m in wrong(machine) if m.startswith(f"{CERTIFICATE} expired on 20")],
        f"{CERTIFICATE} is not for example.org, matrix.example.org, only for shop.org",
        f"{CERTIFICATE} lacks the certificates of its issuers, up to one that this machine trusts",
    ]


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        (CERTIFICATE, None, "is not there"),
        (CERTIFICATE, "", "is empty"),
        (CERTIFICATE, "nonsense", "holds no certificate"),
        (KEY, None, "is not there"),
        (KEY, "nonsense", "holds no private key"),
        (KEY, "-----BEGIN ENCRYPTED PRIVATE KEY-----", "is protected by a passphrase"),
    ],
)
def test_a_file_of_no_use_is_named(path: str, text: str | None, words: str, machine: Machine) -> None:
    machine.at(path).unlink()
    if text is not None:
        machine.put(path, text, 0o600)
    assert wrong(machine) == [next(m for m in wrong(machine) if m.startswith(f"{path} {words}"))]


def test_one_that_is_not_valid_yet_says_so(machine: Machine) -> None:
    machine.certificate("/srv/tls", NAMES, days=90, age=-2)
    assert [m for m in wrong(machine) if "is not valid before 20" in m] == wrong(machine) != []


def test_what_is_left_of_a_life_is_a_share_of_it(machine: Machine) -> None:
    for days, age in ((9.0, 36.0), (18.0, 72.0), (1.2, 4.8)):
        machine.certificate("/srv/tls", NAMES, days, age)
        seen = look(FakeHost(machine), CERTIFICATE)
        assert seen and abs(seen.left - 0.2) < 0.01
    assert X509((), 0, 0, "").left < 0


def test_a_broken_pair_is_pending_and_the_copy_goes_on_being_served(machine: Machine) -> None:
    host = FakeHost(machine)
    machine.at(TLS).mkdir(parents=True)
    PAIR.make(host, None)
    copied = host.target(f"{TLS}/files")
    machine.put(KEY, "key of another", 0o600)
    assert PAIR.find(host) != PAIR
    with pytest.raises(Pending, match="is not the key of"):
        PAIR.make(host, PAIR.find(host))
    assert host.target(f"{TLS}/files") == copied
    machine.at(KEY).unlink()
    with pytest.raises(Pending, match="is not there"):
        PAIR.make(host, PAIR.find(host))
    assert host.text(f"{TLS}/files/privkey.pem") == "key"


class Replaced(Machine):
    """A machine where somebody replaces the pair while it is looked at."""

    def openssl(self, words: tuple[str, ...]) -> Result:
        done = super().openssl(words)
        if words[0] == "verify":
            self.certificate("/srv/tls", NAMES, 30, key="key, a newer one")
        return done


def test_a_pair_that_changes_while_it_is_looked_at_is_not_copied(tmp_path: Path) -> None:
    machine = Replaced(tmp_path)
    machine.certificate("/srv/tls", NAMES)
    host = FakeHost(machine)
    with pytest.raises(Pending, match="being replaced right now"):
        PAIR.make(host, None)
    assert host.node(TLS) is None


def test_a_copy_is_readable_by_root_alone_and_an_old_one_goes(machine: Machine) -> None:
    host = FakeHost(machine)
    machine.at(TLS).mkdir(parents=True)
    PAIR.make(host, None)
    machine.certificate("/srv/tls", NAMES, 30, key="key two")
    PAIR.make(host, PAIR.find(host))
    assert PAIR.find(host) == PAIR
    [copy] = [name for name in host.names(TLS) if name.startswith("files-")]
    assert host.target(f"{TLS}/files") == copy
    for path, mode in ((copy, 0o700), (f"{copy}/privkey.pem", 0o600), (f"{copy}/fullchain.pem", 0o600)):
        node = host.node(f"{TLS}/{path}")
        assert node and node.mode == mode


def bring(machine: Machine, text: str) -> list[Change]:
    """What a run with this config does; a plan has said the same before."""
    now = a_session(machine, text)
    planned = {(c.kind, c.name) for c in plan(now.resources, now.host, now.manifest)}
    done = [c for c in converge(now.resources, now.host, now.manifest) if c.ended]
    assert {(c.kind, c.name) for c in done} <= planned, "more was done than planned"
    assert all(c.outcome == "pending" for c in converge(now.resources, now.host, now.manifest) if c.ended)
    return done


def served(machine: Machine) -> str:
    return FakeHost(machine).target(f"{TLS}/current") or ""


def test_from_one_mode_to_another_and_back(machine: Machine) -> None:
    real = "/etc/letsencrypt/live/matrix-baremetal-example.org"
    bring(machine, MINIMAL)
    assert served(machine) == real
    for text, target in ((FILES, "files"), (SELF_SIGNED, "self-signed"), (FILES, "files"), (MINIMAL, real)):
        reloads = machine.unit("nginx.service").reloads
        done = [(c.kind, c.name) for c in bring(machine, text)]
        assert served(machine) == target
        assert machine.unit("nginx.service").reloads == reloads + 1, done
        assert done.count(("Served", f"{TLS}/current")) == 1
        left = [name for name in FakeHost(machine).names(TLS) if name.startswith("files")]
        assert bool(left) == (target == "files")
        assert machine.at(real).exists() == (target == real)


def test_a_real_one_that_is_pending_leaves_the_operators_own_in_its_place(machine: Machine) -> None:
    bring(machine, FILES)
    machine.says["certbot"] = "Max retries exceeded"
    outcomes = {(c.kind, c.action): c.outcome for c in bring(machine, MINIMAL)}
    assert outcomes["Certificate", "create"] == outcomes["KeyPair", "remove"] == "pending"
    assert served(machine) == "files"
    assert FakeHost(machine).text(f"{TLS}/current/privkey.pem") == "key"
    machine.says.clear()
    bring(machine, MINIMAL)
    assert served(machine).startswith("/etc/letsencrypt")
    assert [name for name in FakeHost(machine).names(TLS) if name.startswith("files")] == []


def test_a_plan_with_a_new_pair_says_what_is_reloaded(machine: Machine) -> None:
    bring(machine, FILES)
    machine.certificate("/srv/tls", NAMES, 30)
    now = a_session(machine, FILES)
    changes = [(c.verb, c.title) for c in plan(now.resources, now.host, now.manifest)]
    assert ("update", f"copy of {CERTIFICATE} for example.org") in changes
    assert changes[-1] == ("reload", "nginx.service")
    before = machine.at(f"{TLS}/current/fullchain.pem").read_text()
    bring(machine, FILES)
    assert machine.at(f"{TLS}/current/fullchain.pem").read_text() != before
