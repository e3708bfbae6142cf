"""A Synapse as the package matrix-synapse-py3 has it, made here: its files, user, owners and scripts are those of the
real one, and the program is a virtualenv of ours. apt takes it away when ours comes, as where it was really used.
"""

from __future__ import annotations

from tests.system.docker import TUTORIAL, Docker

ETC = "/etc/matrix-synapse"
DATA = "/var/lib/matrix-synapse"
PROGRAM = "/opt/venvs/matrix-synapse"
PLACE = "/root/matrix-synapse-py3"
CONTROL = """\
Package: matrix-synapse-py3
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@example.org>
Depends: adduser
Provides: matrix-synapse
Description: Synapse as its own makers package it
"""
# As it is in the package, without debconf.
POSTINST = f"""\
#!/bin/sh -e
mkdir -p {ETC}/conf.d
echo "server_name: 'NAME'" > {ETC}/conf.d/server_name.yaml
echo "report_stats: false" > {ETC}/conf.d/report_stats.yaml
if ! getent passwd matrix-synapse > /dev/null; then
    adduser --quiet --system --no-create-home --home {DATA} matrix-synapse
fi
for dir in {DATA} /var/log/matrix-synapse {ETC}; do
    if ! dpkg-statoverride --list --quiet $dir > /dev/null; then
        dpkg-statoverride --force-all --quiet --update --add matrix-synapse nogroup 0755 $dir
    fi
done
deb-systemd-helper unmask matrix-synapse.service > /dev/null
deb-systemd-helper enable matrix-synapse.service > /dev/null
systemctl --system daemon-reload
systemctl start matrix-synapse
"""
PRERM = """\
#!/bin/sh -e
deb-systemd-invoke stop matrix-synapse.service
"""
POSTRM = """\
#!/bin/sh -e
systemctl --system daemon-reload
if [ "$1" = remove ]; then deb-systemd-helper mask matrix-synapse.service > /dev/null; fi
if [ "$1" = purge ]; then
    deb-systemd-helper purge matrix-synapse.service > /dev/null
    deb-systemd-helper unmask matrix-synapse.service > /dev/null
fi
"""
START = (
    f"{PROGRAM}/bin/python -m synapse.app.homeserver --config-path={ETC}/homeserver.yaml --config-path={ETC}/conf.d/"
)
SERVICE = f"""\
[Unit]
Description=Synapse Matrix homeserver

[Service]
Type=notify
User=matrix-synapse
WorkingDirectory={DATA}
EnvironmentFile=-/etc/default/matrix-synapse
ExecStartPre={START} --generate-keys
ExecStart={START}
Restart=always
StateDirectory=matrix-synapse
LogsDirectory=matrix-synapse

[Install]
WantedBy=multi-user.target
"""
# What its build makes of the config that Synapse writes by itself.
TWEAKS = (
    "/^signing_key_path:/s/SERVERNAME/homeserver/",
    '/^pid_file:/s#:.*#: "/var/run/matrix-synapse.pid"#',
    r"/^log_config:/s/SERVERNAME\.log\.config/log.yaml/",
    "/^media_store_path:/s#/media_store#/media#",
    "/^server_name:/d",
)


# As Synapse's documentation has people set it up.
ROLE = "CREATE ROLE synapse_user LOGIN PASSWORD 'secret';"
BASE = "CREATE DATABASE {} ENCODING 'UTF8' LC_COLLATE='C' LC_CTYPE='C' template=template0 OWNER synapse_user;"
ARGS = "{{user: synapse_user, password: secret, dbname: {}, host: 127.0.0.1, cp_min: 5, cp_max: 10}}"


class Debians(Docker):
    """The old server; what people did there is the same."""

    rows_in = "synapse"

    @property
    def key_file(self) -> str:
        return f"{ETC}/homeserver.signing.key"

    def make(self, database: str = "") -> None:
        """Where ours was, theirs is; then people use it, and ours takes its place."""
        self.guest.run("dpkg --purge matrix-baremetal && userdel matrix-synapse", timeout=120)
        self.program(PROGRAM)
        self.package(database)
        self.guest.run(f"apt-get install -q -y {PLACE}.deb", timeout=120)
        self.use()
        self.guest.run("apt-get install -q -y /root/matrix-baremetal_*.deb", timeout=120)

    def database(self) -> str:
        """A database in Debian's own cluster, and the lines of a config for it."""
        psql = ["runuser", "-u", "postgres", "--", "psql", "-Xq"]
        self.guest.run(psql, input=f"{ROLE}\n{BASE.format(self.rows_in)}\n")
        return f"database: {{name: psycopg2, args: {ARGS.format(self.rows_in)}}}\n"

    def table(self) -> str:
        """The old database by the checksum of what was said and of who is there."""
        dump = f"pg_dump --inserts --data-only -t users -t event_json -t access_tokens {self.rows_in}"
        return self.guest.run(f"runuser -u postgres -- {dump} | grep ^INSERT | sort | sha256sum").stdout

    def rows(self) -> str:
        """The old SQLite file by its checksum."""
        return self.guest.run(f"sha256sum {DATA}/homeserver.db").stdout

    def package(self, more: str) -> None:
        """Build it."""
        made = f"{PROGRAM}/bin/python -m synapse._scripts"
        words = f"--config-dir={ETC} --data-dir={DATA}"
        tweaks = " ".join(f"-e '{tweak}'" for tweak in TWEAKS)
        self.guest.run(
            f"mkdir -p {PLACE}/DEBIAN {PLACE}{ETC} {PLACE}/lib/systemd/system {PLACE}{DATA} "
            f"{PLACE}/var/log/matrix-synapse && "
            f"{made}.generate_config {words} | sed {tweaks} > {PLACE}{ETC}/homeserver.yaml && "
            f"{made}.generate_log_config --output-file={PLACE}{ETC}/log.yaml"
        )
        own = TUTORIAL.partition("app_service")[0] + "listeners:" + TUTORIAL.partition("listeners:")[2]
        self.guest.write(f"{ETC}/conf.d/own.yaml", own.format(name=self.name) + more)
        for name, text in (("control", CONTROL), ("conffiles", f"{ETC}/homeserver.yaml\n{ETC}/log.yaml\n")):
            self.guest.write(f"{PLACE}/DEBIAN/{name}", text)
        for name, text in (("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)):
            self.guest.write(f"{PLACE}/DEBIAN/{name}", text.replace("NAME", self.name), 0o755)
        self.guest.write(f"{PLACE}/lib/systemd/system/matrix-synapse.service", SERVICE)
        self.guest.run(f"dpkg-deb --root-owner-group --build {PLACE} {PLACE}.deb")
