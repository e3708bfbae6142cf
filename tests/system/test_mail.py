"""Mail leaves through a real mail server, over TLS and with a login: an address is proved, a password is set anew."""

from __future__ import annotations

import re
import time
from email import message_from_string, policy
from email.utils import parseaddr
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
SERVER = "exim4.service"
# Exim takes what whoever has logged in sends, to anybody, and keeps it.
EXIM = """\
primary_hostname = {name}
daemon_smtp_ports = 587 : 465
tls_on_connect_ports = 465
log_selector = +incoming_interface
tls_advertise_hosts = *
tls_certificate = /etc/exim4/fullchain.pem
tls_privatekey = /etc/exim4/privkey.pem
auth_advertise_hosts = ${{if def:tls_in_cipher {{*}}}}
acl_smtp_rcpt = rcpt
begin acl
rcpt:
  accept authenticated = *
  deny
begin routers
all:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  directory = {kept}
  maildir_format
  user = keeper
  group = keeper
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if eq{{$auth3}}{{${{lookup{{$auth2}}lsearch{{/etc/exim4/logins}}}}}}}}
"""


def test_mail_goes_by_the_server_that_is_named_and_goes_no_more(site: Site) -> None:
    a_mail_server(site)
    smtp = {"host": site.hostname, "user": "matrix", "password_file": FILE, "from": f"matrix@{site.server_name}"}
    site.change(mail={"smtp": smtp})
    site.guest.run(["rm", "-f", FILE])
    assert f"{FILE} should hold a password" in site.mb("apply", status=1).stderr
    write(site, PASSWORD)
    assert "\\\\o/" not in site.mb("plan", "-v", status=3).stdout
    site.mb("apply")
    assert "1 fine" in site.mb("doctor", "mail.server").stdout
    invariants.nothing_to_do(site)
    site.mb("user", "add", "zoe", "--generate")
    zoe = site.login("zoe")
    prove(site, zoe, "zoe@example.org")
    forgotten(site, zoe, "zoe@example.org")
    by_hand(site, "587")
    # TLS from the first byte.
    site.change(mail={"smtp": {**smtp, "port": 465}})
    site.mb("apply")
    by_hand(site, "465")
    forgotten(site, zoe, "zoe@example.org", "yet another password")
    site.change(mail={"smtp": smtp})
    site.mb("apply")
    refused(site)
    without(site)


def write(site: Site, password: str) -> None:
    site.guest.run(f"umask 077 && cat > {FILE}", input=f"{password}\n")


def a_mail_server(site: Site) -> None:
    site.guest.run("DEBIAN_FRONTEND=noninteractive apt-get install -q -y exim4-daemon-light", timeout=300)
    site.guest.run(f"useradd --system --user-group keeper && install -d -o keeper -m 700 {KEPT}")
    site.guest.write("/etc/exim4/logins", f"matrix: {PASSWORD}\n")
    site.guest.write("/etc/exim4/exim4.conf", EXIM.format(name=site.hostname, kept=KEPT))
    pair = f"/etc/matrix-baremetal/tls/{site.hostname}/current"
    site.guest.run(f"install -m 400 -o Debian-exim {pair}/fullchain.pem {pair}/privkey.pem /etc/exim4")
    site.guest.run(f"chown Debian-exim /etc/exim4/logins && systemctl restart {SERVER}")


def link(site: Site, address: str) -> str:
    """The first link of the newest mail to somebody, which is then taken away."""
    end = time.monotonic() + 20
    while not (found := site.guest.run(f"grep -lri '^To: .*{address}' {KEPT} || true").stdout.split()):
        assert time.monotonic() < end, site.guest.run("tail -n 20 /var/log/exim4/mainlog").stdout
        time.sleep(0.3)
    mail = message_from_string(site.guest.read(found[-1]), policy=policy.default)
    assert parseaddr(mail["From"]) == (site.server_name, f"matrix@{site.server_name}")
    body = mail.get_body(("plain",))
    assert body
    text = body.get_content()
    site.guest.run(["rm", *found])
    [first, *_] = re.findall(rf"https://{site.hostname}/[^\s\"<>]+", text)
    return str(first)


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


def forgotten(site: Site, person: Person, address: str, password: str = "a wholly other password") -> None:
    """Somebody without a login sets another password."""
    body = {"client_secret": "apes", "email": address, "send_attempt": 1}
    answer = ask(site, "account/password/email/requestToken", body)
    assert answer.status == 200, answer.text
    page = link(site, address)
    shown = site.web.ask("GET", page)
    assert "password" in shown.text
    address = urlsplit(page)._replace(query="").geturl()
    form = [word for name, value in fields(page) for word in ("--data-urlencode", f"{name}={value}")]
    assert site.web.ask("POST", address, options=form).status == 200
    proof = {"sid": answer.data["sid"], "client_secret": "apes"}
    new = {"new_password": password, "logout_devices": False}
    session = ask(site, "account/password", new).data["session"]
    auth = {"type": "m.login.email.identity", "threepid_creds": proof, "session": session}
    answer = ask(site, "account/password", {**new, "auth": auth})
    assert answer.status == 200, answer.text
    Person.login(site.web, site.url, person.user, password)


def fields(page: str) -> list[tuple[str, str]]:
    """What the page's button sends along."""
    return [(name, value) for name, _, value in (row.partition("=") for row in urlsplit(page).query.split("&"))]


def by_hand(site: Site, port: str) -> None:
    """A mail to somebody, over TLS and after a login, by the port that is asked for."""
    assert "took the mail to ops@example.org" in site.mb("mail", "test", "ops@example.org").stdout
    [mail] = site.guest.run(f"grep -lri '^To: ops@example.org' {KEPT}").stdout.split()
    assert "A test of the mail of" in site.guest.read(mail)
    site.guest.run(["rm", mail])
    [row] = site.guest.run(
        "grep ops@example.org -B 9 /var/log/exim4/mainlog | grep '<= ' | tail -n 1"
    ).stdout.splitlines()
    assert f"]:{port} P=esmtpsa " in row, row
    assert "A=plain" in row


def refused(site: Site) -> None:
    """Another password: what reads it is restarted, the old one is not kept, and doctor says that it is wrong."""
    write(site, "not the password")
    assert site.planned() == {f"file {MAIL}", SYNAPSE}
    site.mb("apply")
    said = site.mb("doctor", "mail.server", status=3).stdout
    assert "refuses the login of matrix" in said
    assert "refuses the login of matrix" in site.mb("mail", "test", "ops@example.org", status=1).stderr
    assert "mend mail.smtp" in said
    site.guest.run(["systemctl", "stop", SERVER])
    assert "does not answer" in site.mb("doctor", "mail.server", status=3).stdout
    assert "does not answer" in site.mb("mail", "test", "ops@example.org", status=1).stderr


def without(site: Site) -> None:
    site.change(mail=None)
    assert site.planned() == {f"file {MAIL}", SYNAPSE}
    site.mb("apply")
    assert site.guest.run(["test", "-e", MAIL], check=False).returncode == 1
    assert site.guest.run(f"find {DISPLACED} -name email.yaml", check=False).stdout == ""
    invariants.nothing_to_do(site)
    invariants.hold(site)
