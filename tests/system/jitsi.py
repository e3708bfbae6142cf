"""Stand-ins for Jitsi's packages, and an archive of them in the shape of its makers' own.

Names, questions and places are theirs (their debian/, August 2026), and of what they depend on what matters here;
what is in them is not: pages of a line, modules of Prosody that do as little as can be, and programs that have Java
start and then are none of it (jitsi_parts.py).
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fake_releases import Signer

PARTS = Path(__file__).with_name("jitsi_parts.py").read_text()
VERSION = "2.0.9999-1"
QUESTION = "Template: {0}\nType: {1}\nDescription: {0}?\n\n"
CONFMODULE = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\n"
# Who wants to know it and isn't told takes localhost, as theirs do.
HOST = 'db_get jitsi-videobridge/jvb-hostname\nhost=$RET\n[ -n "$host" ] || host=localhost\n'
UNIT = (
    "[Unit]\nDescription=by itself\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
)
INIT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: jicofo
# Required-Start: $local_fs
# Required-Stop: $local_fs
# Default-Start: 2 3 4 5
# Default-Stop: 0 1 6
### END INIT INFO
case $1 in start) touch /run/jicofo-by-itself ;; status) exit 3 ;; esac
"""
# Java comes up as theirs would have it, with what the unit leaves it; then comes what stands for the rest.
SCRIPT = """#!/bin/bash
java -Xmx${{{0}:-3072m}} -XX:+UseG1GC -XX:HeapDumpPath=/tmp $JAVA_SYS_PROPS -version || exit 1
exec python3 /usr/share/{1}/parts.py $JAVA_SYS_PROPS
"""
PAGE = '<html><!--#include virtual="head.html" --><script><!--#include virtual="/config.js" --></script></html>\n'
NOTHING = "-- A part of Jitsi's that these tests need nothing of.\n"
ANONYMOUS = """\
local sasl = require "util.sasl"
local provider = {}
function provider.get_sasl_handler()
    return sasl.new(module.host, { anonymous = function () return true end })
end
function provider.user_exists() return true end
module:provides("auth", provider)
"""
# It leads what anybody asks to the one who is behind it, with the asker's name behind its own, and the answer back.
PROXY = """\
local jid, st = require "util.jid", require "util.stanza"
local target, there = module:get_option_string("target_address"), nil
local function heard(event)
    local stanza = event.stanza
    local from, kind = stanza.attr.from, stanza.attr.type
    if stanza.name == "presence" then
        if jid.bare(from) == target and kind == nil then there = from end
        if jid.bare(from) == target and kind == "unavailable" then there = nil end
    elseif stanza.name == "iq" and jid.bare(from) == target then
        local _, _, asker = jid.split(stanza.attr.to)
        local back = st.clone(stanza)
        back.attr.from, back.attr.to = module.host, asker
        module:send(back)
    elseif stanza.name == "iq" and there then
        local on = st.clone(stanza)
        on.attr.from, on.attr.to = module.host .. "/" .. from, there
        module:send(on)
    elseif stanza.name == "iq" then
        module:send(st.error_reply(stanza, "cancel", "service-unavailable"))
    end
    return true
end
for _, kind in ipairs { "iq", "presence", "message" } do
    for _, place in ipairs { "host", "bare", "full" } do module:hook(kind .. "/" .. place, heard, -1) end
end
module:send(st.presence({ type = "subscribe", to = target, from = module.host }))
"""
MODULES = {
    **dict.fromkeys(("features_identity", "conference_duration", "muc_lobby_rooms", "muc_breakout_rooms"), NOTHING),
    **dict.fromkeys(("muc_hide_all", "muc_meeting_id", "muc_password_whitelist", "muc_filter_access"), NOTHING),
    **dict.fromkeys(("end_conference", "av_moderation_component"), NOTHING),
    # As theirs does, which Prosody 0.12 has by another name (jitsi-meet's issue 17303).
    "speakerstats_component": 'local queue = require "prosody.util.queue".new(1)\nassert(queue:push(1))\n',
    **dict.fromkeys(("room_metadata_component", "polls_component"), NOTHING),
    "auth_jitsi-anonymous": ANONYMOUS,
    "client_proxy": PROXY,
}
# As theirs: a config of its own for the Prosody that there is, and a certificate that the whole machine believes.
PROSODY = f"""{CONFMODULE}{HOST}db_stop
if [ "$1" = configure ] && [ ! -e /etc/prosody/conf.avail/$host.cfg.lua ]; then
    mkdir -p /etc/prosody/conf.avail /etc/prosody/conf.d
    printf 'VirtualHost "%s"\\n authentication = "anonymous"\\n' "$host" > /etc/prosody/conf.avail/$host.cfg.lua
    ln -s /etc/prosody/conf.avail/$host.cfg.lua /etc/prosody/conf.d/$host.cfg.lua
    openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=auth.$host" \\
        -keyout /var/lib/prosody/auth.$host.key -out /var/lib/prosody/auth.$host.crt 2> /dev/null
    mkdir -p /usr/local/share/ca-certificates
    ln -sf /var/lib/prosody/auth.$host.crt /usr/local/share/ca-certificates/auth.$host.crt
    update-ca-certificates -f > /dev/null
    invoke-rc.d prosody restart || true
fi
"""
PURGED = f"""{CONFMODULE}if [ "$1" = purge ]; then
    {HOST.splitlines()[0]}
    rm -rf /etc/prosody/conf.avail/$RET.cfg.lua /etc/prosody/conf.d/$RET.cfg.lua /var/lib/prosody/auth.$RET.*
    db_purge
fi
"""
BRIDGE = f"""{CONFMODULE}{HOST}db_stop
if [ "$1" = configure ]; then
    mkdir -p /etc/jitsi/videobridge
    echo "DOMAIN=auth.$host" > /etc/jitsi/videobridge/jvb.conf
    deb-systemd-helper enable jitsi-videobridge2.service > /dev/null || true
    systemctl daemon-reload
    deb-systemd-invoke start jitsi-videobridge2.service > /dev/null || true
fi
"""
FOCUS = f"""{CONFMODULE}{HOST}db_stop
if [ "$1" = configure ]; then
    mkdir -p /etc/jitsi/jicofo
    echo "$host" > /etc/jitsi/jicofo/jicofo.conf
    update-rc.d jicofo defaults > /dev/null
    invoke-rc.d jicofo start || true
fi
"""
FORGET = f'{CONFMODULE}if [ "$1" = purge ]; then {{1}}; rm -rf {{0}}; db_purge; fi\n'
JAVA = "openjdk-17-jre-headless | openjdk-21-jre-headless"


@dataclass
class Package:
    """A Debian package: fields of its control file, its files by path, and its maintainer scripts and questions."""

    name: str
    version: str = VERSION
    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    scripts: dict[str, str] = field(default_factory=dict)

    @property
    def control(self) -> str:
        """Its control file, which an archive's index repeats."""
        rows = {
            "Package": self.name,
            "Version": self.version,
            "Architecture": "all",
            "Maintainer": "Tests <t@x.test>",
        }
        return "".join(f"{k}: {v}\n" for k, v in {**rows, **self.fields, "Description": "a stand-in"}.items())

    def built(self) -> bytes:
        """The .deb."""
        with tempfile.TemporaryDirectory() as place:
            scripts = {f"DEBIAN/{name}": text for name, text in self.scripts.items()}
            for path, text in {"DEBIAN/control": self.control, **scripts, **self.files}.items():
                file = Path(place, "tree", path.lstrip("/"))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
                file.chmod(0o755 if text.startswith("#!") else 0o644)
            words = ("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", "tree", "made.deb")
            subprocess.run(words, cwd=place, check=True, capture_output=True)
            return Path(place, "made.deb").read_bytes()


def packages(version: str = VERSION) -> tuple[Package, ...]:
    """Jitsi's four, and what else its archive might offer."""
    host = QUESTION.format("jitsi-videobridge/jvb-hostname", "string")
    share, meet = "/usr/share", "/usr/share/jitsi-meet"
    return (
        Package(
            "jitsi-meet-web",
            files={
                f"{meet}/index.html": PAGE,
                f"{meet}/head.html": "<title>a room</title>\n",
                f"{meet}/libs/external_api.min.js": "// api\n",
                f"{meet}/css/all.css": "a {}\n",
            },
        ),
        Package(
            "jitsi-meet-prosody",
            fields={"Depends": "openssl, prosody, debconf"},
            files={f"{meet}/prosody-plugins/mod_{name}.lua": text for name, text in MODULES.items()},
            scripts={"templates": host, "postinst": PROSODY, "postrm": PURGED},
        ),
        Package(
            "jicofo",
            version,
            fields={"Depends": f"debconf, {JAVA}"},
            files={
                f"{share}/jicofo/jicofo.jar": version,
                f"{share}/jicofo/jicofo.sh": SCRIPT.format("JICOFO_MAX_MEMORY", "jicofo"),
                f"{share}/jicofo/parts.py": PARTS,
                "/etc/init.d/jicofo": INIT,
            },
            scripts={
                "templates": host,
                "postinst": FOCUS,
                "postrm": FORGET.format("/etc/jitsi/jicofo", "update-rc.d jicofo remove"),
            },
        ),
        Package(
            "jitsi-videobridge2",
            fields={"Pre-Depends": JAVA, "Depends": "debconf, procps, uuid-runtime"},
            files={
                f"{share}/jitsi-videobridge/jitsi-videobridge.jar": version,
                f"{share}/jitsi-videobridge/jvb.sh": SCRIPT.format("VIDEOBRIDGE_MAX_MEMORY", "jitsi-videobridge"),
                f"{share}/jitsi-videobridge/parts.py": PARTS,
                "/lib/systemd/system/jitsi-videobridge2.service": UNIT,
            },
            scripts={
                "templates": host,
                "postinst": BRIDGE,
                "postrm": FORGET.format(
                    "/etc/jitsi/videobridge", "deb-systemd-helper purge jitsi-videobridge2.service"
                ),
            },
        ),
        Package("jitsi-meet-web-config", fields={"Depends": "nginx"}),
        Package("bash", "999"),
    )


def archive(signer: Signer, version: str = VERSION) -> Mapping[str, bytes]:
    """The files of an archive below its address: packages, their index, and who says that it is so."""
    found, rows = {"jitsi-key.gpg.key": signer.key}, []
    for package in packages(version):
        data = package.built()
        path = f"stable/{package.name}_{package.version}_all.deb"
        found[path] = data
        digest = hashlib.sha256(data).hexdigest()
        rows.append(f"{package.control}Filename: {path}\nSize: {len(data)}\nSHA256: {digest}\n")
    index = "\n".join(rows).encode()
    digest = hashlib.sha256(index).hexdigest()
    release = (
        "Origin: jitsi.org\nLabel: Jitsi Debian packages repository\nSuite: stable\nCodename: stable\n"
        f"Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n {digest} {len(index)} Packages\n"
    )
    found["stable/Packages"] = index
    found["stable/InRelease"] = signer.gpg("--clearsign", input=release.encode(), then=signer.then)
    return found
