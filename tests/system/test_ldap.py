"""People of a real directory log in with the password that they have there, over TLS, and nobody else does."""

from __future__ import annotations

import time

import pytest

from tests.matrix import MatrixError, Person
from tests.system import invariants
from tests.system.people import UNLIMITED
from tests.system.site import HOMESERVER, SECRETS, SYNAPSE, WHEELS, Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
PASSWORD = 'of the "directory": {yes} # \\o/'
FILE = "/etc/matrix-baremetal/ldap.password"
COPY = f"{SECRETS}/ldap_password"
SERVER = "slapd.service"
BASE, BIND = "ou=people,dc=lab,dc=test", "cn=matrix,dc=lab,dc=test"
GROUP = "cn=matrix,ou=groups,dc=lab,dc=test"
# Debian's own, with a config of ours: nothing is said without TLS, and nobody else sees anybody.
SLAPD = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile /run/slapd/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
TLSCertificateFile /etc/ldap/fullchain.pem
TLSCertificateKeyFile /etc/ldap/privkey.pem
security simple_bind=128
database mdb
maxsize 10485760
suffix "dc=lab,dc=test"
directory /var/lib/ldap/lab
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=matrix,dc=lab,dc=test" read by * none
"""
ENTRIES = f"""\
dn: dc=lab,dc=test
objectClass: dcObject
objectClass: organization
o: The lab
dc: lab

dn: {BIND}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: matrix
userPassword: {PASSWORD}

dn: {BASE}
objectClass: organizationalUnit
ou: people

dn: uid=dora,{BASE}
objectClass: inetOrgPerson
uid: dora
cn: Dora of the directory
sn: Directory
mail: dora@example.org
userPassword: the password of dora
memberOf: {GROUP}

dn: uid=otto,{BASE}
objectClass: inetOrgPerson
uid: otto
cn: Otto
sn: Outside
userPassword: the password of otto
"""


def test_people_of_a_directory_log_in_and_nobody_else(site: Site) -> None:
    a_directory(site)
    asked = {
        # TLS that begins with a word.
        "server": f"ldap://{site.hostname}",
        "base": BASE,
        "bind_dn": BIND,
        "password_file": FILE,
        "filter": f"(memberOf={GROUP})",
    }
    site.change(UNLIMITED, ldap=asked)
    site.guest.run(f"umask 077 && cat > {FILE}", input=f"{PASSWORD}\n")
    assert "\\\\o/" not in site.mb("plan", "-v", status=3).stdout
    site.mb("apply", "--wheelhouse", WHEELS)
    assert "1 fine" in site.mb("doctor", "ldap.server").stdout
    assert site.planned() == set()
    invariants.findings(site)
    logged_in(site)
    # A program of Synapse's that reads the whole config finds the module as well.
    site.mb("user", "export", "alice", "--to", "/root/alice.tar.gz")
    away(site)
    # TLS from the first byte.
    site.change(UNLIMITED, ldap={**asked, "server": f"ldaps://{site.hostname}"})
    assert site.planned() == {f"file {HOMESERVER}", SYNAPSE}
    assert "1 fine" in site.mb("doctor", "ldap.server").stdout
    without(site)


def a_directory(site: Site) -> None:
    site.guest.run("DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends slapd", timeout=300)
    site.guest.run(f"systemctl stop {SERVER} && install -d -o openldap -m 700 /var/lib/ldap/lab")
    site.guest.write("/etc/ldap/slapd.conf", SLAPD)
    pair = f"/etc/matrix-baremetal/tls/{site.hostname}/current"
    site.guest.run(f"install -m 400 -o openldap {pair}/fullchain.pem {pair}/privkey.pem /etc/ldap")
    as_it = "setpriv --reuid=openldap --regid=openldap --clear-groups"
    site.guest.run(f"{as_it} slapadd -f /etc/ldap/slapd.conf", input=ENTRIES)
    settings = "SLAPD_CONF=/etc/ldap/slapd.conf\nSLAPD_USER=openldap\nSLAPD_GROUP=openldap\n"
    site.guest.write("/etc/default/slapd", f'{settings}SLAPD_SERVICES="ldap:/// ldaps:///"\n')
    site.guest.run(f"systemctl start {SERVER}")


def refused(site: Site, name: str, password: str) -> None:
    with pytest.raises(MatrixError, match="M_FORBIDDEN"):
        site.login(name, password)


def logged_in(site: Site) -> None:
    refused(site, "dora", "not the password")
    assert "dora" not in site.mb("user", "list").stdout, "a wrong password makes no account"
    dora = site.login("dora", "the password of dora")
    assert dora.ask("GET", f"profile/{dora.user}/displayname") == {"displayname": "Dora of the directory"}
    refused(site, "otto", "the password of otto")
    refused(site, "dor*", "the password of dora")
    refused(site, "alice", "the password of dora")
    site.login("alice")
    who = {"type": "m.id.thirdparty", "medium": "email", "address": "dora@example.org"}
    body = {"type": "m.login.password", "identifier": who, "password": "the password of dora"}
    answer = site.web.ask("POST", f"{site.url}/_matrix/client/v3/login", body)
    assert (answer.status, answer.data.get("user_id")) == (200, dora.user), answer.text


def away(site: Site) -> None:
    """The directory is away, and whoever has an account of this server logs in; then it is there again."""
    site.guest.run(f"systemctl stop {SERVER}")
    began = time.monotonic()
    site.login("alice")
    refused(site, "dora", "the password of dora")
    assert time.monotonic() - began < 15
    assert "does not answer" in site.mb("doctor", "ldap.server", status=3).stdout
    site.guest.run(f"systemctl start {SERVER}")
    site.login("dora", "the password of dora")


def without(site: Site) -> None:
    """What it brought goes, but for idle libraries, and the account stays, as one without a password."""
    site.change(UNLIMITED, ldap=None)
    drop_in = f"/etc/systemd/system/{SYNAPSE}.d/50-matrix-baremetal.conf"
    files = {f"file {path}" for path in (HOMESERVER, COPY, drop_in)}
    assert site.planned() == {*files, SYNAPSE}
    site.mb("apply")
    assert site.guest.run(["test", "-e", COPY], check=False).returncode == 1
    refused(site, "dora", "the password of dora")
    assert "dora" in site.mb("user", "list").stdout
    Person.login(site.web, site.url, f"@alice:{site.server_name}", site.password("alice"))
    invariants.hold(site)
