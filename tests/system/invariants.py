"""What must hold of a site after anything that goes wrong (docs/design.md §10)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.system.people import Talk
from tests.system.site import MESSAGE, Site

_INSIDE = (Path(__file__).parent / "inside.py").read_text()
THEIRS = "/root/theirs"
SHOP = "CREATE TABLE goods (name text); INSERT INTO goods VALUES ('apples'), ('pears');"
BLOG = """server {
    listen 80;
    listen [::]:80;
    server_name blog.example;
    location / { return 200 "their site\\n"; }
}
"""


def hold(site: Site, talk: Talk | None = None) -> None:
    """All of them. Looks in from outside too: what was there before is there, and can be read by whom it was for.

    Of a talk that went on meanwhile, every message is there that the server said it had.
    """
    if talk is not None:
        talk.kept()
    nothing_to_do(site)
    findings(site)
    remembered(site)
    untouched(site)
    status = site.status()
    assert status["ready"], status
    assert not status["faults"], status["faults"]
    failed = site.guest.run("systemctl --failed --plain --no-legend").stdout
    assert failed == "", failed


def nothing_to_do(site: Site) -> None:
    """Another run changes nothing and starts nothing."""
    before = site.runs()
    assert site.planned() == set()
    assert "Nothing was changed" in site.mb("apply").stdout
    assert site.runs() == before


def findings(site: Site) -> None:
    """No secret where it doesn't belong, no file half-written, nothing left behind, no mode too wide."""
    assert found(site) == []


def found(site: Site) -> list[str]:
    """A sentence for each of these."""
    rows: list[str] = json.loads(site.guest.run(["python3", "-I", "-"], input=_INSIDE).stdout)
    return rows


def remembered(site: Site) -> None:
    """A user from before logs in and reads the message from before; the server is who it was."""
    before = site.before
    if before is None:
        return
    assert site.signing_key() == before["signing_key"]
    bob = site.login("bob")
    assert (f"@alice:{site.server_name}", MESSAGE) in bob.messages(before["room"])


def neighbours(site: Site) -> None:
    """Let there be a web site, a database and files of somebody else, and note them: `hold` looks after them."""
    site.guest.write("/etc/nginx/sites-available/blog", BLOG)
    site.guest.run("ln -s ../sites-available/blog /etc/nginx/sites-enabled/blog && systemctl reload nginx")
    psql(site, "CREATE ROLE shop LOGIN; CREATE DATABASE shop OWNER shop;")
    psql(site, SHOP, "shop")
    site.guest.write(THEIRS, seen_of_them(site))


def untouched(site: Site) -> None:
    """What `neighbours` noted is as it was, to the byte."""
    before = site.guest.quick("cat", THEIRS, check=False).decode()
    assert not before or seen_of_them(site) == before
    if before:
        said = site.lab.client(["curl", "-sS", "-H", "Host: blog.example", f"http://{site.guest.ip}/"]).stdout
        assert said == "their site\n"


def seen_of_them(site: Site) -> str:
    """Their files by checksum, and their rows."""
    # Whoever makes or drops a Postgres cluster has postgresql-common write one of apt's files anew.
    ours = "! -name '*matrix-baremetal*' ! -name '*autoremove-postgresql'"
    files = f"find etc/nginx etc/apt etc/ssh etc/pam.d -type f {ours} -exec sha256sum {{}} +"
    return site.guest.run(f"cd / && {files} | sort -k2").stdout + psql(site, "SELECT * FROM goods;", "shop")


def psql(site: Site, sql: str, database: str = "postgres") -> str:
    """What Postgres says to its superuser."""
    words = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
    return site.guest.run(words, input=sql).stdout
