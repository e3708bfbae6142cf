"""Mail leaves through a real mail server, over TLS and with a login: an address is proved, a password is set anew."""

from __future__ import annotations

import quopri
import re
import time
from urllib.parse import urlsplit

import pytest

from tests.matrix import Answer, Person
from tests.system import invariants
from tests.system.site import DISPLACED, SYNAPSE, Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
PASSWORD = 'of the "mail server": {yes} # \\o/'
FILE = "/etc/matrix-baremetal/mail.password"
MAIL = "/etc/matrix-synapse/conf.d/email.yaml"
KEPT = "/var/spool/kept"
# OpenSMTPD takes what whoever has logged in sends, to anybody, and keeps it.
SMTPD = """\
pki site cert "/etc/matrix-baremetal/tls/{name}/current/fullchain.pem"
pki site key "/etc/matrix-baremetal/tls/{name}/current/privkey.pem"
table logins file:/etc/smtpd.logins
table all {{ "@" = keeper }}
listen on 0.0.0.0 port 587 tls-require pki site auth <logins>
action keep maildir "{kept}" virtual <all>
match auth from any for any action keep
"""


def test_mail_goes_by_the_server_that_is_named_and_goes_no_more(site: Site) -> None:
    a_mail_server(site)
    smtp = {"host": site.hostname, "user": "matrix", "password_file": FILE, "from": f"matrix@{site.server_name}"}
    site.change(mail={"smtp": smtp})
    site.guest.run(["rm", "-f", FILE])
    assert f"{FILE} should hold a password" in site.mb("apply", status=1).stderr
    site.guest.write(FILE, f"{PASSWORD}\n")
    site.guest.run(["chmod", "600", FILE])
    assert "\\\\o/" not in site.mb("plan", "-v", status=3).stdout
    site.mb("apply")
    assert "1 fine" in site.mb("doctor", "mail.server").stdout
    invariants.nothing_to_do(site)
    site.mb("user", "add", "zoe", "--generate")
    zoe = site.login("zoe")
    prove(site, zoe, "zoe@example.org")
    forgotten(site, zoe, "zoe@example.org")
    refused(site)
    without(site)


def a_mail_server(site: Site) -> None:
    site.guest.run("DEBIAN_FRONTEND=noninteractive apt-get install -q -y opensmtpd", timeout=300)
    site.guest.run(f"useradd --system keeper && install -d -o keeper -m 700 {KEPT}")
    # The password goes by stdin to the program that hashes it.
    hashed = site.guest.run(["smtpctl", "encrypt"], input=f"{PASSWORD}\n").stdout.strip()
    site.guest.write("/etc/smtpd.logins", f"matrix {hashed}\n")
    site.guest.write("/etc/smtpd.conf", SMTPD.format(name=site.hostname, kept=KEPT))
    site.guest.run("chown opensmtpd /etc/smtpd.logins && systemctl restart opensmtpd")


def link(site: Site, address: str) -> str:
    """The first link of the newest mail to somebody, which is then taken away."""
    end = time.monotonic() + 20
    while not (found := site.guest.run(f"grep -lri '^To: .*{address}' {KEPT} || true").stdout.split()):
        assert time.monotonic() < end, site.guest.run("journalctl -n 20 -u opensmtpd").stdout
        time.sleep(0.3)
    text = quopri.decodestring(site.guest.read(found[-1])).decode()
    assert f"From: {site.server_name} <matrix@{site.server_name}>" in text
    site.guest.run(["rm", *found])
    [first, *_] = re.findall(rf"https://{site.hostname}/[^\s\"<>]+", text)
    return str(first).replace("&amp;", "&")


def ask(site: Site, path: str, body: object, token: str | None = None) -> Answer:
    return site.web.ask("POST", f"{site.url}/_matrix/client/v3/{path}", body, token=token)


def prove(site: Site, person: Person, address: str) -> None:
    """As a client does it (Matrix spec, "Adding Account Administrative Contact Information")."""
    body = {"client_secret": "monkeys", "email": address, "send_attempt": 1}
    answer = ask(site, "account/3pid/email/requestToken", body, person.token)
    assert answer.status == 200, answer.text
    assert site.web.ask("GET", link(site, address)).status == 200
    proof = {"sid": answer.data["sid"], "client_secret": "monkeys"}
    session = ask(site, "account/3pid/add", proof, person.token).data["session"]
    who = {"type": "m.id.user", "user": person.user}
    auth = {
        "type": "m.login.password",
        "identifier": who,
        "password": site.password("zoe"),
        "session": session,
    }
    answer = ask(site, "account/3pid/add", {**proof, "auth": auth}, person.token)
    assert answer.status == 200, answer.text


def forgotten(site: Site, person: Person, address: str) -> None:
    """Somebody without a login sets another password."""
    body = {"client_secret": "apes", "email": address, "send_attempt": 1}
    answer = ask(site, "account/password/email/requestToken", body)
    assert answer.status == 200, answer.text
    page = link(site, address)
    shown = site.web.ask("GET", page)
    assert "password" in shown.text
    address = urlsplit(page)._replace(query="").geturl()
    form = [f"--data-urlencode={name}={value}" for name, value in fields(page)]
    assert site.web.ask("POST", address, options=form).status == 200
    proof = {"sid": answer.data["sid"], "client_secret": "apes"}
    new = {"new_password": "a wholly other password", "logout_devices": False}
    session = ask(site, "account/password", new).data["session"]
    auth = {"type": "m.login.email.identity", "threepid_creds": proof, "session": session}
    answer = ask(site, "account/password", {**new, "auth": auth})
    assert answer.status == 200, answer.text
    Person.login(site.web, site.url, person.user, "a wholly other password")


def fields(page: str) -> list[tuple[str, str]]:
    """What the page's button sends along."""
    return [(name, value) for name, _, value in (row.partition("=") for row in urlsplit(page).query.split("&"))]


def refused(site: Site) -> None:
    """Another password: what reads it is restarted, the old one is not kept, and doctor says that it is wrong."""
    site.guest.write(FILE, "not the password\n")
    assert site.planned() == {f"file {MAIL}", SYNAPSE}
    site.mb("apply")
    said = site.mb("doctor", "mail.server", status=3).stdout
    assert "refuses the login of matrix" in said
    assert "mend mail.smtp" in said
    site.guest.run(["systemctl", "stop", "opensmtpd"])
    assert "does not answer" in site.mb("doctor", "mail.server", status=3).stdout


def without(site: Site) -> None:
    site.change(mail=None)
    assert site.planned() == {f"file {MAIL}", SYNAPSE}
    site.mb("apply")
    assert site.guest.run(["test", "-e", MAIL], check=False).returncode == 1
    assert site.guest.run(f"find {DISPLACED} -name email.yaml", check=False).stdout == ""
    invariants.nothing_to_do(site)
    invariants.hold(site)
