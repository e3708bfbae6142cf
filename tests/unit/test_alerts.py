"""People are told what the daily look finds: in a room, by mail, and the next time where neither took it."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import alert, components, config
from matrix_baremetal.checks.alerts import Told
from matrix_baremetal.commands import doctor, doctor_changes
from matrix_baremetal.config import Config
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import ConfigError, Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.resources.alert_room import NOTE, TOKEN, remembered
from matrix_baremetal.session import Session
from tests.fakes import MINIMAL, FakeHost, Killed, Machine, a_homeserver, a_session

Captured = pytest.CaptureFixture[str]
ROBOT = "@matrix-baremetal-alerts:example.org"
ALICE = "@alice:example.org"
SMTP = "mail: {smtp: {host: mail.example.net, from: matrix@example.org, user: m, password_file: /etc/mail.pass}}\n"
ASKED = f"{MINIMAL}admins: [{{name: alice}}]\n"
ROOM = f"{ASKED}alerts: {{invite: [alice]}}\n"
BOTH = f"{ASKED}{SMTP}alerts: {{invite: [alice], mail: ops@example.org}}\n"
FAULT = Finding("units.nginx", "fail", "nginx.service is inactive", ("password: hunter2hunter2", "<b>"), "start it")
MENDED = Finding("drift", "pass", "everything on disk is as the config says")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.put("/etc/mail.pass", "a secret of the mail server\n", 0o600)
    return made


def site(machine: Machine, text: str) -> tuple[Session, Config]:
    """An installed homeserver with such a config."""
    now = a_homeserver(machine, text)
    return now, now.site.config


def again(machine: Machine, text: str) -> list[str]:
    """Another run, with such a config; how each change ended."""
    now = a_session(machine, text)
    return [f"{c.verb} {c.title}: {c.outcome}" for c in converge(now.resources, now.host, now.manifest) if c.ended]


def bodies(machine: Machine) -> list[str]:
    return [message["body"] for message in machine.postgres.messages]


def test_a_room_a_user_without_a_password_and_a_token_for_root_alone(machine: Machine) -> None:
    now, _ = site(machine, ROOM)
    assert machine.postgres.rooms == {"!0:example.org": {ROBOT: "join", ALICE: "invite"}}
    assert ROBOT not in machine.postgres.hashes
    [token] = machine.postgres.lasting
    assert machine.at(TOKEN).read_text() == f"{token}\n"
    assert oct(machine.at(TOKEN).stat().st_mode)[-3:] == oct(machine.at(NOTE).stat().st_mode)[-3:] == "600"
    shown = [word for s in machine.started for word in (*s.argv, *s.env.values())]
    assert not any(token in word for word in shown)
    assert not list(plan(now.resources, now.host, a_session(machine, ROOM).manifest))
    assert NOTE in components.data(now.site).files


def test_who_comes_later_is_asked_in_who_left_is_not_and_who_is_off_the_list_is_shown_out(machine: Machine) -> None:
    site(machine, ROOM)
    [people] = machine.postgres.rooms.values()
    people[ALICE] = "leave"
    machine.postgres.accounts["@bob:example.org"] = False
    two = ROOM.replace("[alice]}\n", "[alice, bob]}\n")
    assert again(machine, two) == [f"update room of the alerts, by {ROBOT}: done"]
    assert people == {ROBOT: "join", ALICE: "leave", "@bob:example.org": "invite"}
    assert again(machine, two) == []
    assert again(machine, ROOM) == [f"update room of the alerts, by {ROBOT}: done"]
    assert people["@bob:example.org"] == "leave"


def test_somebody_without_an_account_is_waited_for(machine: Machine) -> None:
    site(machine, ROOM)
    more = ROOM.replace("[alice]}\n", "[alice, zoe]}\n")
    assert again(machine, more) == [f"update room of the alerts, by {ROBOT}: pending"]
    machine.postgres.accounts["@zoe:example.org"] = False
    assert again(machine, more) == [f"update room of the alerts, by {ROBOT}: done"]


def test_a_token_or_a_room_that_is_gone_is_seen_and_made_anew(machine: Machine) -> None:
    now, _ = site(machine, ROOM)
    check = Told(ROBOT)
    assert check.look(now.host).state == "pass"
    machine.postgres.lasting.clear()
    assert "can't write to the room" in check.look(now.host).message
    assert again(machine, ROOM) == [f"update room of the alerts, by {ROBOT}: done"]
    assert len(machine.postgres.rooms) == 1, "the room is the same"
    machine.at(TOKEN).unlink()
    assert "is gone" in check.look(now.host).message
    again(machine, ROOM)
    machine.postgres.rooms["!0:example.org"][ROBOT] = "leave"
    assert check.look(now.host).state == "fail"
    again(machine, ROOM)
    assert machine.postgres.rooms["!1:example.org"] == {ROBOT: "join", ALICE: "invite"}
    machine.at(NOTE).write_text("{}")
    assert check.look(now.host).message == "there is no room for the alerts yet"
    assert remembered(now.host) is None
    again(machine, ROOM)
    assert len(machine.postgres.rooms) == 2, "a note that is lost does not make another room"


def test_switched_off_he_leaves_and_his_token_is_no_more(machine: Machine) -> None:
    site(machine, ROOM)
    assert again(machine, ASKED) == [f"remove room of the alerts, by {ROBOT}: done"]
    assert machine.postgres.lasting == {}
    assert machine.postgres.rooms["!0:example.org"] == {ROBOT: "leave", ALICE: "invite"}
    assert not machine.at(TOKEN).exists()
    assert not machine.at(NOTE).exists()


def test_an_account_that_somebody_can_log_in_as_is_not_ours(machine: Machine) -> None:
    site(machine, ASKED)
    machine.postgres.accounts[ROBOT] = False
    machine.postgres.hashes[ROBOT] = "x"
    with pytest.raises(Error, match="somebody has given it a password"):
        again(machine, ROOM)
    assert machine.postgres.lasting == {}


def test_the_news_are_one_message_without_secrets_and_nothing_is_told_twice(machine: Machine) -> None:
    now, wanted = site(machine, ROOM)
    secret = machine.at("/etc/matrix-baremetal/secrets/macaroon_secret_key").read_text().strip()
    alert.keep(now.host, [MENDED, FAULT, Finding("x", "warn", f"it says {secret}")])
    sent = alert.told(now.host, "example.org", wanted)
    assert sent == alert.Sent("room")
    [message] = machine.postgres.messages
    assert (message["by"], message["msgtype"]) == (ROBOT, "m.text")
    assert message["body"].startswith("example.org: 1 new fault, 1 new warning, 1 mended (")
    assert "\n✗ units.nginx: nginx.service is inactive\n    password: (secret)\n    <b>\n" in message["body"]
    assert "\n! x: it says (secret)\n" in message["body"]
    assert message["body"].endswith("✓ drift: no longer at fault: everything on disk is as the config says\n")
    assert "<code>password: (secret)\n&lt;b&gt;</code>" in message["formatted_body"]
    assert "hunter2" not in str(message)
    assert alert.told(now.host, "example.org", wanted) is None
    alert.keep(now.host, [])
    assert alert.told(now.host, "example.org", wanted) is None
    assert len(machine.postgres.messages) == 1


def test_where_the_homeserver_is_down_it_goes_by_mail(machine: Machine) -> None:
    now, wanted = site(machine, BOTH)
    machine.unit("matrix-synapse.service").active = False
    alert.keep(now.host, [FAULT])
    sent = alert.told(now.host, "example.org", wanted)
    assert sent == alert.Sent("mail", ("the homeserver: nobody answers",))
    assert machine.logins == [("m", "a secret of the mail server")]
    [mail] = machine.internet.mails
    assert (mail["To"], mail["From"]) == ("ops@example.org", "matrix@example.org")
    assert mail["Subject"].startswith("example.org: 1 new fault (")
    assert "✗ units.nginx" in mail.get_content()
    assert not machine.at(alert.UNTOLD).exists()


def test_what_nobody_takes_waits_and_is_told_with_the_next(machine: Machine, capsys: Captured) -> None:
    now, wanted = site(machine, BOTH)
    machine.unit("matrix-synapse.service").active = False
    machine.mail_fault = "it does not answer: connection refused"
    alert.keep(now.host, [FAULT])
    sent = alert.told(now.host, "example.org", wanted)
    assert sent is not None
    assert sent.way == ""
    words = Namespace(json=False, quiet=True)
    doctor_changes.say("example.org", [FAULT], [], 1.0, words, sent)
    said = "nobody could be told (the homeserver: nobody answers; the mail server: it does not answer: connection"
    assert capsys.readouterr().out.startswith(said)
    machine.unit("matrix-synapse.service").start()
    now.host.net.ask("GET", 8008, "/")
    alert.keep(now.host, [MENDED])
    assert alert.told(now.host, "example.org", wanted) == alert.Sent("room")
    [body] = bodies(machine)
    assert "✗ units.nginx" in body
    assert "✓ drift" in body
    for text in ("", "nonsense", "{}", '{"since": 1, "rows": [1]}'):
        machine.put(alert.UNTOLD, text)
        assert alert.told(now.host, "example.org", wanted) is None


def test_day_by_day_the_command_tells_what_is_new(machine: Machine, capsys: Captured) -> None:
    now, _ = site(machine, ROOM)
    now.manifest.server_name = "example.org"
    words = Namespace(json=True, quiet=False, verbose=False, ids=["units.nginx"], wait=0)

    def day() -> dict[str, object]:
        checks = [check for check in doctor.of(now) if check.id == "units.nginx"]
        doctor_changes.look(now.host, checks, some=True, again=0, alerts=alert.wanted(now.host, now.site.config))
        sent = alert.told(now.host, "example.org", now.site.config)
        doctor_changes.say("example.org", [], [], 1.0, words, sent)
        return dict(json.loads(capsys.readouterr().out))

    assert "told" not in day()
    machine.unit("nginx.service").active = False
    assert day()["told"] == "room"
    assert "told" not in day()
    machine.unit("nginx.service").active = True
    assert day()["told"] == "room"
    assert ["✗ units.nginx" in body for body in bodies(machine)] == [True, False]
    assert "no longer at fault" in bodies(machine)[1]


def test_killed_before_it_counts_as_known_it_is_told_twice_rather_than_never(machine: Machine) -> None:
    now, _ = site(machine, ROOM)
    now.manifest.server_name = "example.org"
    machine.unit("nginx.service").active = False
    checks = [check for check in doctor.of(now) if check.id == "units.nginx"]
    for at in range(1, 20):
        host = FakeHost(machine, at)
        try:
            doctor_changes.look(host, checks, some=True, again=0, alerts=True)
        except Killed:
            continue
        break
    doctor_changes.look(now.host, checks, some=True, again=0, alerts=True)
    assert alert.untold(now.host)[1]


def test_with_a_config_that_has_mistakes_the_room_is_remembered(machine: Machine) -> None:
    now, _ = site(machine, ROOM)
    assert alert.wanted(now.host, None)
    alert.keep(now.host, [Finding("config", "fail", "the config has mistakes")])
    assert alert.told(now.host, "example.org", None) == alert.Sent("room")
    again(machine, ASKED)
    assert not alert.wanted(now.host, None)
    assert not alert.wanted(now.host, now.site.config.__class__("example.org"))


def test_much_is_cut_to_what_a_person_reads() -> None:
    rows = [Finding(f"a.{n}", "fail", "x" * 900, tuple("y" * 900 for _ in range(30)), "z") for n in range(30)]
    short = [alert.cleaned(row, ()) for row in rows]
    body, page = alert.text("head", short), alert.formatted("head", short)
    assert body.endswith("… and 18 more: matrix-baremetal doctor\n")
    assert "… 24 more lines" in body
    assert len(alert.content(body, page)["body"]) == len(body)
    assert "formatted_body" in alert.content(body, page)
    assert "formatted_body" not in alert.content(body, page * 9), "an event has 64 KiB at most"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alerts: {mail: ops@example.org}\n", "there is no mail.smtp, so no mail leaves this server"),
        ("alerts: {invite: [alice, alice]}\n", "alice is listed twice"),
        ("alerts: {invite: ['@alice:example.org']}\n", "config.yaml:3:19"),
        ("alerts: {people: [alice]}\n", "people"),
    ],
)
def test_mistakes_are_said_with_their_place(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        config.decode(MINIMAL + text, "config.yaml")


def test_by_mail_alone_there_is_no_room(machine: Machine) -> None:
    now, wanted = site(machine, f"{MINIMAL}{SMTP}alerts: {{mail: ops@example.org}}\n")
    assert machine.postgres.rooms == {}
    alert.keep(now.host, [FAULT])
    assert alert.told(now.host, "example.org", wanted) == alert.Sent("mail")
    assert len(machine.internet.mails) == 1


def test_bytes_of_a_file_that_are_no_text_are_told_without_them(machine: Machine) -> None:
    now, wanted = site(machine, ROOM)
    alert.keep(now.host, [Finding("drift", "fail", "1 thing is not as the config says", ("+f\udcfcr später",))])
    sent = alert.told(now.host, "example.org", wanted)
    assert sent
    assert sent.way == "room"
    assert "+f?r später" in bodies(machine)[-1]
