"""What every kind of resource promises the loop: it looks without writing, makes, repairs, and survives a kill."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import components
from matrix_baremetal.net import Answer
from matrix_baremetal.resources import files, masks
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.elsewhere import NOTES
from matrix_baremetal.resources.files import Directory, File, Link, Secret
from matrix_baremetal.resources.filled import Filled
from matrix_baremetal.resources.key_pair import KeyPair
from matrix_baremetal.resources.matrix import Account, Homeserver, HomeserverConfig
from matrix_baremetal.resources.monitor import Monitor
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.postgres import OURS, Database, Role
from matrix_baremetal.resources.postgres_store import PostgresStore
from matrix_baremetal.resources.python import Virtualenv
from matrix_baremetal.resources.qr_code import QrCode
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.schema import Schema
from matrix_baremetal.resources.served import SelfSigned, Served
from matrix_baremetal.resources.services import Service
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Killed, Machine

assert components.ALL, "which has imported every kind"
KINDS = {n: k for n, k in Resource.kinds.items() if k.__module__.startswith("matrix_baremetal.")}
SECRET = "hunter2-hunter2"
STORE = PostgresStore("matrix-synapse", Cluster("15", "main", 5432))
TLS = "/etc/matrix-baremetal/tls/example.org"
THERE = (("/a", '{"b": 1}'),)


def nothing(machine: Machine) -> None:
    """A machine as it is needs nothing more."""


def synapse_runs(machine: Machine) -> None:
    """Synapse runs, with its database and its secret."""
    machine.unit("matrix-synapse.service").start()
    machine.postgres.roles["matrix-synapse"] = ""
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse")
    machine.put("/etc/matrix-baremetal/secrets/registration_shared_secret", SECRET, 0o600)
    machine.put("/password", f"{SECRET}\n", 0o600)
    machine.asked = 1


def half_made(machine: Machine) -> None:
    """Synapse was cut off while it made its tables."""
    synapse_runs(machine)
    machine.unit("matrix-synapse.service").active = False
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse", comment=OURS, tables=7)


def bare(machine: Machine) -> None:
    """The directories of the certificates, which other resources make."""
    machine.at(TLS).mkdir(parents=True)
    machine.at("/var/lib/matrix-baremetal").mkdir()


def pair(machine: Machine) -> None:
    """A self-signed pair and a real one, with nothing served yet."""
    machine.certificate(f"{TLS}/self-signed", ["example.org"])
    machine.certificate("/etc/letsencrypt/live/ours", ["example.org"])


def own_pair(machine: Machine) -> None:
    """A pair of the operator's."""
    bare(machine)
    machine.lasting("/srv/own", ["example.org"])


@dataclass(frozen=True)
class Example:
    """A resource, what has to be there before it, and how its state may drift (None: it can't or must not).

    `stays` says that undo takes nothing away: it is data, or not ours alone.
    """

    resource: Resource
    before: Callable[[Machine], None] = nothing
    drift: Callable[[Machine], object] | None = None
    stays: bool = False
    packages: tuple[str, ...] = ("nginx", "postgresql")


def user(machine: Machine) -> None:
    """Our system user."""
    machine.users.append("matrix-synapse")


def point(link: Path, target: str) -> None:
    """Point a link elsewhere."""
    link.unlink()
    link.symlink_to(target)


EXAMPLES = (
    Example(File("/etc/a", "b\n", 0o640), drift=lambda m: m.put("/etc/a", "c")),
    Example(
        files.TestedFile("/etc/nginx/conf.d/a.conf", "b\n", test=("nginx", "-t")),
        drift=lambda m: m.put("/etc/nginx/conf.d/a.conf", "c"),
    ),
    Example(
        HomeserverConfig(
            "/etc/h.yaml", "server_name: a\n", 0o640, group="matrix-synapse", unit="u.service", python="p"
        ),
        before=user,
        drift=lambda m: m.put("/etc/h.yaml", "server_name: b"),
    ),
    Example(
        QrCode("/etc/q.svg", "https://example.org/?a=1&b=2"),
        drift=lambda m: m.put("/etc/q.svg", m.at("/etc/q.svg").read_text().replace("M4 4", "M5 4")),
    ),
    Example(Filled("/f", "@1", secrets=(("@1", "/password"),)), synapse_runs, lambda m: m.put("/f", "a: b")),
    Example(Link("/etc/l", "target"), drift=lambda m: point(m.at("/etc/l"), "x")),
    Example(Directory("/etc/d/e", 0o750), drift=lambda m: m.at("/etc/d/e").chmod(0o777)),
    Example(Secret("/etc/s", invent=lambda: SECRET), drift=lambda m: m.at("/etc/s").chmod(0o644), stays=True),
    Example(masks.Mask("coturn.service"), drift=lambda m: m.at(f"{masks.PLACE}/coturn.service").unlink()),
    Example(Monitor("matrix-metrics"), drift=lambda m: m.postgres.monitors.clear()),
    Example(Packages("tests", ("certbot", "nginx")), stays=True),
    Example(SystemUser("matrix-synapse"), stays=True),
    Example(Role("matrix-synapse"), stays=True),
    Example(
        Database("matrix-synapse", owner="matrix-synapse"),
        before=lambda m: m.postgres.roles.update({"matrix-synapse": ""}),
        stays=True,
    ),
    Example(Schema("matrix-synapse", store=STORE, unit="matrix-synapse.service"), before=half_made, stays=True),
    Example(
        Virtualenv("/opt/v/1", pins="abc", python="3.11", requirements="a==1", uv="uv==1"),
        drift=lambda m: m.at("/opt/v/1/complete.json").unlink(),
    ),
    Example(
        Service("matrix-synapse.service", reads=("/etc/os-release",)),
        drift=lambda m: setattr(m.unit("matrix-synapse.service"), "active", False),
    ),
    Example(
        SelfSigned(TLS, "example.org"), before=bare, drift=lambda m: m.at(f"{TLS}/self-signed/privkey.pem").unlink()
    ),
    Example(
        Served(f"{TLS}/current", pair="/etc/letsencrypt/live/ours"),
        before=pair,
        drift=lambda m: point(m.at(f"{TLS}/current"), "self-signed"),
        stays=True,
    ),
    Example(
        KeyPair(TLS, "/srv/own/fullchain.pem", "/srv/own/privkey.pem"),
        before=own_pair,
        drift=lambda m: m.certificate("/srv/own", ["example.org"], 30, key="key of another"),
    ),
    Example(
        Certificate("example.org", "https://ca.example/dir", webroot="/srv", email="a@example.org"),
        drift=lambda m: m.certificate("/etc/letsencrypt/live/matrix-baremetal-example.org", ["example.org"], -1),
        packages=("certbot",),
    ),
    Example(
        Certificate("example.org", "https://ca.example/dir", webroot="/srv", elsewhere=THERE),
        before=lambda m: m.pages.update({"https://example.org/a": Answer(200, {"b": 1, "c": 2})}),
        drift=lambda m: m.at(f"{NOTES}/example.org").unlink(),
        packages=("certbot",),
    ),
    Example(Homeserver("example.org"), before=synapse_runs, drift=lambda m: setattr(m, "asked", 0), stays=True),
    Example(
        Account(
            "@alice:example.org",
            True,
            store=STORE,
            secret_file="/etc/matrix-baremetal/secrets/registration_shared_secret",
            password_file="/password",
        ),
        before=synapse_runs,
        stays=True,
    ),
    Example(Account("@alice:a.b", True, store=STORE, password_hash=f"$2b$12${SECRET}"), synapse_runs, stays=True),
)
every = pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: type(e.resource).__name__)


def a_machine(example: Example, folder: Path) -> Machine:
    """The example's machine."""
    folder.mkdir(exist_ok=True)
    machine = Machine(folder, packages=example.packages)
    example.before(machine)
    return machine


def test_every_kind_of_the_product_has_an_example() -> None:
    assert {type(example.resource) for example in EXAMPLES} == {
        k for k in KINDS.values() if not inspect.isabstract(k)
    }


@every
def test_the_first_field_is_the_name_and_all_others_have_defaults(example: Example) -> None:
    first, *others = fields(example.resource)
    assert first.default is MISSING
    assert example.resource.name == getattr(example.resource, first.name)
    assert all(f.default is not MISSING or f.default_factory is not MISSING for f in others)
    assert type(example.resource)(example.resource.name).key == example.resource.key  # type: ignore[call-arg]


@every
def test_looking_writes_nothing_and_finds_what_is_not_there_to_be_so(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    if isinstance(example.resource, Homeserver):
        machine.unit("matrix-synapse.service").active = False
    before = machine.tree()
    assert example.resource.find(FakeHost(machine)) != example.resource
    assert machine.tree() == before
    assert machine.changing() == []


@every
def test_what_is_made_is_found_as_it_should_be(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    assert example.resource.find(host) == example.resource
    assert example.resource.digest() == found(example.resource, host).digest()
    assert example.resource.differences(found(example.resource, host)) == ()


@pytest.mark.parametrize("example", [e for e in EXAMPLES if e.drift], ids=lambda e: type(e.resource).__name__)
def test_what_has_drifted_is_seen_and_repaired(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    assert example.drift
    example.drift(machine)
    drifted = example.resource.find(host)
    if not isinstance(example.resource, Homeserver):
        assert drifted != example.resource
    example.resource.make(host, drifted)
    assert example.resource.find(host) == example.resource


@every
def test_the_digest_counts_every_compared_field_and_no_other(example: Example) -> None:
    for one in fields(example.resource):
        changed = replace(example.resource, **{one.name: another(getattr(example.resource, one.name))})
        if one.name == "tested":
            assert changed.digest() == example.resource.digest()  # whether it was tested is not what is in it
        else:
            assert (changed.digest() != example.resource.digest()) == one.compare, one.name
        assert (changed != example.resource) == one.compare, one.name


def another(value: Any) -> Any:
    """A value of the same kind that is another."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, tuple):
        return (*value, "x")
    return f"{value}x" if isinstance(value, str) else lambda: "x"


@every
def test_undone_by_its_name_alone_it_is_gone_or_its_data_stays(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    before = machine.tree()
    by_name: Resource = type(example.resource)(example.resource.name)  # type: ignore[call-arg]
    by_name.undo(host)
    if example.stays:
        assert machine.tree() == before
        assert example.resource.find(host) == example.resource
    else:
        again = example.resource.find(host)
        assert again is None or (isinstance(again, Service) and not again.active and not again.enabled)
    by_name.undo(host)


@every
def test_killed_anywhere_it_is_made_by_the_next_run(example: Example, tmp_path: Path) -> None:
    whole = a_machine(example, tmp_path / "whole")
    host = FakeHost(whole)
    example.resource.make(host, example.resource.find(host))
    for at in range(1, host.operations + 1):
        machine = a_machine(example, tmp_path / str(at))
        dying = FakeHost(machine, at)
        with pytest.raises(Killed):
            example.resource.make(dying, example.resource.find(dying))
        next_run = FakeHost(machine)
        if (left := example.resource.find(next_run)) != example.resource:
            example.resource.make(next_run, left)
        assert example.resource.find(next_run) == example.resource, f"killed at {at}"
        if not isinstance(example.resource, Certificate):
            assert list(machine.tree()) == list(whole.tree()), f"killed at {at}, and something was left"


@every
def test_no_secret_is_shown_or_given_to_a_program_as_a_word(example: Example, tmp_path: Path) -> None:
    machine = a_machine(example, tmp_path)
    host = FakeHost(machine)
    example.resource.make(host, example.resource.find(host))
    texts = [repr(example.resource), str(example.resource.differences(None)), example.resource.title]
    texts += [word for s in machine.started for word in (*s.argv, *s.env.values())]
    assert not any(SECRET in text for text in texts)


def found(resource: Resource, host: FakeHost) -> Resource:
    """What the host has."""
    seen = resource.find(host)
    assert seen is not None
    return seen
