"""Others on the same machine: their web sites, their databases, their ports. What is theirs stays as it is."""

from __future__ import annotations

import re

import pytest

from tests.system import invariants
from tests.system.site import NGINX, Site

pytestmark = pytest.mark.lab
THEIRS = """server {
    listen 80;
    listen [::]:80;
    server_name blog.example;
    location / { return 200 "their site\\n"; }
}
"""
DATABASE = "CREATE ROLE shop LOGIN PASSWORD 'theirs'; CREATE DATABASE shop OWNER shop;"
ROWS = "CREATE TABLE goods (name text); INSERT INTO goods VALUES ('apples'), ('pears');"
# What only changes when somebody changes it.
WITNESS = (
    "cd / && find etc/nginx etc/postgresql etc/apt etc/systemd/system.conf etc/ssh etc/pam.d -type f "
    "! -name '*matrix-baremetal*' -exec sha256sum {} + | sort -k2; stat -c '%n %a %U' /var/www/html /var/www/html/*"
)


def psql(site: Site, sql: str, database: str = "postgres") -> str:
    command = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
    return site.guest.run(command, input=sql).stdout


@pytest.mark.sampled(12)
def test_their_site_and_their_database_stay_as_they_are(fresh: Site) -> None:
    fresh.guest.write("/etc/nginx/sites-available/blog", THEIRS)
    fresh.guest.run("ln -s ../sites-available/blog /etc/nginx/sites-enabled/blog && systemctl reload nginx")
    psql(fresh, DATABASE)
    psql(fresh, ROWS, "shop")
    fresh.guest.run("until pg_lsclusters -h | grep -q online; do sleep 0.2; done")
    before, files = fresh.runs(), fresh.guest.run(WITNESS).stdout
    roles = psql(fresh, "SELECT rolname, rolpassword FROM pg_authid WHERE rolname <> 'matrix-synapse' ORDER BY 1;")
    fresh.install()
    invariants.hold(fresh)

    assert fresh.guest.run(WITNESS).stdout == files
    after = fresh.runs()
    assert after[fresh.cluster] == before[fresh.cluster], "their cluster was restarted"
    assert after["nginx.service"] == before["nginx.service"], "the web server was restarted, not reloaded"
    assert psql(fresh, "SELECT * FROM goods;", "shop") == "apples\npears\n"
    asked = "SELECT rolname, rolpassword FROM pg_authid WHERE rolname <> 'matrix-synapse' ORDER BY 1;"
    assert psql(fresh, asked) == roles
    assert psql(fresh, "SHOW shared_buffers;") == "128MB\n", "their cluster was tuned"
    site = fresh.lab.client(["curl", "-sS", "-H", "Host: blog.example", f"http://{fresh.guest.ip}/"]).stdout
    assert site == "their site\n"


@pytest.mark.sampled(13)
def test_a_database_of_our_name_that_is_not_ours_is_left_alone(fresh: Site) -> None:
    psql(fresh, 'CREATE DATABASE "matrix-synapse";')
    psql(fresh, "CREATE TABLE precious (row text); INSERT INTO precious VALUES ('x');", "matrix-synapse")
    done = fresh.install(status=1)
    assert "Postgres has a database matrix-synapse already that matrix-baremetal did not make" in done.stderr
    untouched(fresh)
    assert psql(fresh, "SELECT * FROM precious;", "matrix-synapse") == "x\n"
    psql(fresh, 'ALTER DATABASE "matrix-synapse" RENAME TO theirs;')
    fresh.install()
    invariants.hold(fresh)


@pytest.mark.sampled(12)
def test_all_that_postgres_has_in_our_way_is_said_before_anything_changes(fresh: Site) -> None:
    file = f"/etc/postgresql/{fresh.major}/main/pg_hba.conf"
    psql(fresh, 'ALTER SYSTEM SET max_connections = 11; CREATE ROLE "matrix-synapse";')
    fresh.guest.run(f"sed -i 's/^local *all *all *peer/local all all md5/' {file}")
    fresh.guest.run(["systemctl", "restart", fresh.cluster])
    done = fresh.install(status=1)
    assert "has a role matrix-synapse already that matrix-baremetal did not make" in done.stderr
    assert re.search(rf"line \d+ of {file} asks for md5, not for peer", done.stderr), done.stderr
    assert "takes 11 connections at once, 3 of them for its superusers" in done.stderr
    untouched(fresh)

    # What it says to do helps.
    psql(fresh, 'DROP ROLE "matrix-synapse";')
    asked = re.search(r"above all others that begin with local: (.*); then: (.*)", done.stderr)
    assert asked, done.stderr
    fresh.guest.run(f"sed -i '0,/^local/s//{asked[1]}\\n&/' {file} && {asked[2]}")
    helped = re.search(rf"pg_conftool {fresh.major} main set max_connections 14; systemctl restart \S+", done.stderr)
    assert helped, done.stderr
    psql(fresh, "ALTER SYSTEM RESET max_connections;")
    fresh.guest.run(helped[0])
    fresh.install()
    invariants.hold(fresh)


@pytest.mark.sampled(13)
def test_of_several_clusters_the_one_is_taken_that_was_and_no_other(fresh: Site) -> None:
    major, other = fresh.major, fresh.cluster.replace("main", "other")
    fresh.guest.run(f"pg_conftool {major} main set port 5440; pg_createcluster --port 5441 {major} other")
    fresh.guest.run(["systemctl", "restart", fresh.cluster, other])
    done = fresh.install(status=1)
    assert f"several Postgres clusters: {major}/main on port 5440 and {major}/other on port 5441" in done.stderr
    untouched(fresh)
    fresh.guest.run(f"echo manual > /etc/postgresql/{major}/other/start.conf")
    fresh.install()
    invariants.hold(fresh)

    # The other becomes what anybody would choose, and ours moves: nothing of ours goes there.
    fresh.guest.run(f"echo auto > /etc/postgresql/{major}/other/start.conf; pg_conftool {major} other set port 5432")
    fresh.guest.run(f"pg_conftool {major} main set port 5450")
    fresh.guest.run(["systemctl", "restart", fresh.cluster, other])
    assert "it is looked for on port 5440 of Postgres, and is on 5450" in fresh.mb("status", status=3).stdout
    fresh.mb("apply")
    invariants.hold(fresh)
    fresh.guest.run(["systemctl", "stop", fresh.cluster])
    fresh.guest.run(f"mv /etc/postgresql/{major}/main /root/main")
    done = fresh.mb("apply", status=1)
    assert f"on port 5450, is gone; there are: {major}/other on port 5432" in done.stderr
    fresh.guest.run(f"mv /root/main /etc/postgresql/{major}/main")
    fresh.mb("apply")
    invariants.hold(fresh)
    listed = fresh.guest.run(
        "cd /; runuser -u postgres -- psql -p 5432 -XAtqc 'SELECT datname FROM pg_database'"
    ).stdout
    assert "matrix-synapse" not in listed


@pytest.mark.sampled(12)
def test_a_site_with_our_name_is_said_before_anything_changes(fresh: Site) -> None:
    theirs = "/etc/nginx/sites-enabled/theirs"
    fresh.guest.write(theirs, THEIRS.replace("blog.example", fresh.server_name))
    done = fresh.install(status=1)
    assert f"{theirs} has a site for {fresh.server_name} already" in done.stderr
    assert "nothing was changed" in done.stderr
    untouched(fresh)


@pytest.mark.sampled(13)
def test_their_broken_web_server_config_is_said_before_anything_changes(fresh: Site) -> None:
    fresh.guest.write("/etc/nginx/sites-enabled/theirs", "server { nonsense on; }\n")
    done = fresh.install(status=1)
    assert 'unknown directive "nonsense" in /etc/nginx/sites-enabled/theirs:1' in done.stderr
    untouched(fresh)


@pytest.mark.sampled(12)
def test_ports_in_use_name_who_uses_them_all_at_once(fresh: Site) -> None:
    fresh.guest.run("systemctl disable --now nginx")
    for port in (80, 443, 8008):
        fresh.guest.run(f"systemd-run --quiet --unit=their-{port} python3 -m http.server {port}")
        fresh.guest.run(f"until ss -Hltn sport = :{port} | grep -q .; do sleep 0.1; done")
    done = fresh.install(status=1)
    for port in (80, 443, 8008):
        assert re.search(rf"port {port} is in use by python3 \(process \d+, their-{port}\.service\)", done.stderr), (
            done.stderr
        )
    untouched(fresh)
    fresh.guest.run("systemctl stop their-80 their-443 their-8008")
    fresh.install()
    invariants.hold(fresh)


def untouched(site: Site) -> None:
    """Nothing but the config is there."""
    made = f"/etc/matrix-synapse /opt/matrix-baremetal /var/lib/matrix-synapse/media {NGINX}"
    assert site.guest.run(f"ls -d {made} 2>/dev/null", check=False).stdout == ""
    assert site.show("matrix-synapse.service", "ActiveState")["ActiveState"] == "inactive"
