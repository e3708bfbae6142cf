"""doctor on real machines: nothing to say of a sound one, and the right id for each thing that is broken."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from tests.system.site import CONFIG, NGINX, SYNAPSE, Site

pytestmark = pytest.mark.lab
TLS = "/etc/matrix-baremetal/tls"
SERVER_JSON = "/var/lib/matrix-baremetal/well-known/server.json"
KEY = "/var/lib/matrix-synapse/signing.key"
MEDIA = "/var/lib/matrix-synapse/media"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal"
# Open to all the world, and to whoever wants an account.
OPEN = """\
listeners:
- {port: 8008, bind_addresses: [0.0.0.0], type: http, x_forwarded: true, resources: [{names: [client, federation]}]}
enable_registration: true
enable_registration_without_verification: true
"""
# Runs in the guest: a certificate of yesterday.
EXPIRED = """\
import datetime, sys
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
key, now, name = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.utcnow(), x509.Name([])
made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
made = made.not_valid_before(now - datetime.timedelta(90)).not_valid_after(now - datetime.timedelta(1))
made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(sys.argv[2])]), False).sign(key, hashes.SHA256())
place, pem = sys.argv[1], serialization.Encoding.PEM
open(place + "/fullchain.pem", "wb").write(made.public_bytes(pem))
plain = serialization.NoEncryption()
open(place + "/privkey.pem", "wb").write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
"""


def examined(site: Site, *words: str) -> tuple[dict[str, dict[str, Any]], float]:
    """All findings by id, and how long they took; the exit status says whether there is a fault."""
    done = site.mb("doctor", "--json", *words, status=(0, 3))
    document = json.loads(done.stdout)
    found = {row["id"]: row for row in document["findings"]}
    assert (done.returncode == 3) == any(row["state"] == "fail" for row in found.values())
    return found, document["seconds"]


def in_time(site: Site, limit: float) -> tuple[dict[str, dict[str, Any]], float]:
    """All findings within so many seconds; once more where others have this machine busy."""
    found, seconds = examined(site)
    if seconds >= limit:
        found, seconds = examined(site)
    assert seconds < limit
    return found, seconds


def faults(site: Site, limit: float = 8) -> set[str]:
    """The ids of the faults, each with evidence or a sentence, and a next command; found in time."""
    found, seconds = in_time(site, limit)
    failed = {id for id, row in found.items() if row["state"] == "fail"}
    assert all(found[id]["message"] and found[id]["next"] for id in failed)
    print(seconds, {id: (found[id]["message"], found[id]["evidence"][:3]) for id in failed})  # where it fails
    return failed


def mended(site: Site) -> None:
    """All is well again, once DNS answers and Synapse have come round."""
    end = time.monotonic() + 20
    while left := faults(site):
        assert time.monotonic() < end, left
        time.sleep(0.5)


def test_a_sound_site_has_no_fault_and_is_looked_at_in_time(standing: Site) -> None:
    runs = standing.runs()
    found, _ = in_time(standing, 5)
    wrong = {id: row for id, row in found.items() if row["state"] in ("fail", "warn")}
    assert wrong == {}
    assert len(found) > 80
    skipped = {id for id, row in found.items() if row["state"] == "skip"}
    assert skipped <= {"clock.synchronised"}, "what a container can't say"
    assert standing.runs() == runs
    assert standing.planned() == set()


def test_the_page_is_short_where_all_is_well(standing: Site) -> None:
    text = standing.mb("doctor").stdout
    assert text.splitlines()[-1].startswith(f"{standing.server_name}: no faults, ")
    assert len(text.splitlines()) < 25
    assert "\x1b" not in text
    assert standing.mb("doctor", "-q").stdout == ""
    listed = standing.mb("doctor", "--list").stdout.splitlines()
    some, _ = examined(standing, "web", "drift")
    assert len(listed) > 80
    assert {id.partition(".")[0] for id in some} == {"web", "drift"}
    assert "did you mean drift?" in standing.mb("doctor", "drfit", status=2).stderr
    packed = re.search(r"/\S+\.tar\.gz", standing.mb("doctor", "--bundle").stdout)
    assert packed and "machine.json" in standing.guest.run(["tar", "-tf", packed[0]]).stdout


def fixed(site: Site, command: str, id: str) -> None:
    """Doctor mends it by that command, and finds nothing at fault then."""
    done = site.mb("doctor", "--fix", "--yes")
    assert re.search(rf"{re.escape(command)} +.*{re.escape(id)}", done.stdout), done.stdout
    assert f"{command}: done" in done.stdout, done.stdout


@pytest.mark.sampled(13)
def test_what_is_broken_is_named_and_what_is_mended_is_not(site: Site) -> None:
    guest, host, home = site.guest, site.hostname, site.server_name
    postgres = site.cluster.removesuffix(".service")

    guest.run(f"systemctl stop {site.cluster}")
    assert faults(site) == {f"units.{postgres}"}
    said = site.mb("doctor", "--fix", status=2).stderr
    assert "--yes" in said, said
    fixed(site, "matrix-baremetal apply", f"units.{postgres}")
    guest.run("kill -STOP $(head -1 /var/lib/postgresql/*/main/postmaster.pid)")
    assert faults(site) == {"database.reachable"}
    guest.run("kill -CONT $(head -1 /var/lib/postgresql/*/main/postmaster.pid)")

    guest.run("systemctl stop nginx")
    assert faults(site) == {"units.nginx"}
    guest.run("systemctl start nginx; sleep 0.5; kill -STOP $(cat /run/nginx.pid) $(pgrep -P $(cat /run/nginx.pid))")
    assert faults(site) == {"web.server"}
    guest.run("kill -CONT $(cat /run/nginx.pid) $(pgrep -P $(cat /run/nginx.pid))")

    guest.run(f"sed -i 's#/_synapse/client#/_synapse#; s#client_max_body_size .*;#client_max_body_size 1m;#' {NGINX}")
    guest.run("systemctl reload nginx; sleep 1")
    assert faults(site) - {f"exposure.around.{host}", "current.nginx"} == {
        "drift",
        f"web.upload.{host}",
        f"exposure.admin.{host}",
    }
    site.mb("apply")

    guest.write("/etc/matrix-synapse/conf.d/open.yaml", OPEN)
    guest.run(f"systemctl restart {SYNAPSE}")
    assert faults(site) == {"exposure.8008", "synapse.registration"}
    guest.run(f"rm /etc/matrix-synapse/conf.d/open.yaml; systemctl restart {SYNAPSE}")

    guest.run(f"cp -p {KEY} /root/key; echo ed25519 a_new {'A' * 43} > {KEY}")
    assert faults(site) == {"federation.key", f"current.{SYNAPSE.removesuffix('.service')}"}
    guest.run(f"cp -p /root/key {KEY}; systemctl restart {SYNAPSE}")
    mended(site)

    guest.run(f"mkdir {TLS}/{home}/expired; ln -sfn expired {TLS}/{home}/current")
    guest.run(["python3", "-W", "ignore", "-", f"{TLS}/{home}/expired", home], input=EXPIRED)
    assert faults(site) == {"drift", "current.nginx", f"tls.{home}:443", f"certificates.{home}"}
    guest.run("systemctl reload nginx; sleep 1")
    assert faults(site) >= {f"tls.{home}:443", f"certificates.{home}", "federation.discovery"}
    # What was reloaded by hand is beyond apply, which sees the file again that it started nginx with.
    site.mb("apply")
    guest.run(f"rm -r {TLS}/{home}/expired; systemctl reload nginx; sleep 1")

    guest.write(SERVER_JSON, '{"m.server": "old.example.org:443"}')
    assert faults(site) == {"drift", "well-known.server", "federation.discovery"}
    fixed(site, "matrix-baremetal apply", "drift")

    guest.run(f"mount -t tmpfs -o size=1m,mode=755 tmpfs {MEDIA}; chmod -x {HOOK}")
    assert faults(site) == {"drift", "disk.media", "synapse.media", "certificates.hook"}
    guest.run(f"umount {MEDIA}")
    fixed(site, f"chmod 755 {HOOK}", "certificates.hook")

    site.lab.dns.set(host, a=["10.77.0.250"], aaaa=[guest.ip6])
    time.sleep(2.5)
    assert faults(site) >= {f"dns.a.{host}"}
    site.lab.dns.reset(host)

    guest.run("cp /etc/resolv.conf /root/; echo nameserver 192.0.2.1 > /etc/resolv.conf")
    assert faults(site) == {"dns.resolver"}
    guest.run("cp /root/resolv.conf /etc/")

    guest.run(f"cp -p {CONFIG} /root/; echo 'nonsense: [' >> {CONFIG}")
    assert faults(site) == {"config"}
    guest.run(f"cp -p /root/config.yaml {CONFIG}")
    mended(site)


@pytest.mark.sampled(13)
def test_each_day_the_journal_has_what_is_new_and_nothing_twice(site: Site) -> None:
    """In its hardened unit the doctor sees all that root sees by hand: of a sound site it has nothing to tell."""
    guest = site.guest

    def told(*words: str) -> list[str]:
        guest.run("systemctl start matrix-baremetal-doctor.service && journalctl --sync")
        run = guest.run(
            "systemctl show --value --property=InvocationID matrix-baremetal-doctor.service"
        ).stdout.strip()
        seen = f"journalctl -q -o cat -t matrix-baremetal _SYSTEMD_INVOCATION_ID={run}"
        return guest.run(f"{seen} {' '.join(words)}", check=False).stdout.splitlines()

    [summary] = told()
    assert summary.startswith(f"{site.server_name}: no faults, ")
    guest.run("echo 'version: 2' >> /etc/matrix-synapse/log.yaml; rm -r /var/lib/matrix-baremetal/growth.json")
    first, again = told("-p", "err"), told()
    assert "✗ drift: 1 thing is not as the config says" in first
    assert not any(line.startswith(site.server_name) for line in first)
    [summary] = again
    assert summary.endswith("as at the last look.")
    assert "database" in guest.read("/var/lib/matrix-baremetal/growth.json")
    assert guest.run("systemctl is-failed matrix-baremetal-doctor.service", check=False).stdout.strip() == "inactive"
    site.mb("apply")
    assert any(line.startswith("✓ drift is no longer at fault") for line in told("-p", "notice"))


@pytest.mark.sampled(13)
def test_before_an_install_it_says_whether_the_names_lead_here(fresh: Site) -> None:
    assert faults(fresh) == {"installed"}
    fresh.lab.dns.delete(fresh.hostname)
    time.sleep(2.5)
    assert faults(fresh) == {"installed", f"dns.a.{fresh.hostname}"}
    fresh.lab.dns.reset(fresh.hostname)
    fresh.guest.quick("rm", CONFIG)
    assert faults(fresh) == {"config", "installed"}
