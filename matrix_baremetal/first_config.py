"""The text of the first config.yaml, which an operator goes on editing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from matrix_baremetal import names
from matrix_baremetal.config import Unusable

# What a new server has beside the homeserver, as lines that its operator sees and can take out.
PARTS = {
    "web_client": "web_client:\n  kind: element",
    "admin_ui": "admin_ui:\n  enabled: true",
    "turn": "turn:\n  enabled: true",
}


def text(
    server_name: str,
    email: str | None = None,
    admin: str | None = None,
    tls: Literal["acme", "self-signed"] = "acme",
    without: Mapping[str, str] | None = None,
) -> str:
    """Give the text of a new config.yaml: what has no default, and comments on what else there is.

    `without` are those of `PARTS` that this server has not, each with the reason: a sentence without its end.
    Raises `Unusable` with every value that can't stand in it, so that a run without a terminal hears of all at once.
    """
    wrong = []
    for key, check, value in (
        ("server_name", names.server_name, server_name),
        ("email", names.email, email),
        ("admin", names.localpart, admin),
    ):
        try:
            if value is not None:
                check(value)
        except ValueError as error:
            wrong.append(f"{key}: {error}")
    if wrong:
        raise Unusable("\n".join(wrong), hint="matrix-baremetal init --help")
    return _FIRST.format(
        server_name=_quoted(server_name),
        tls="" if tls == "acme" else f"\ntls:\n  mode: {tls}\n",
        email=f"  email: {_quoted(email)}" if email else "  # email: admin@example.org",
        **{part: _part(part, (without or {}).get(part)) for part in PARTS},
        admin=f"\nadmins:\n  - name: {_quoted(admin)}\n" if admin else "",
    )


def _part(name: str, absent: str | None) -> str:
    lines = PARTS[name]
    return lines if absent is None else f"# {absent[:1].upper()}{absent[1:]}.\n# " + lines.replace("\n", "\n# ")


def _quoted(text: str) -> str:
    # Single quotes hold any text without a quote or a line's end, and no checked name has either.
    return f"'{text}'"


_FIRST = """\
# What this Matrix server is. After a change:  matrix-baremetal plan  shows what it means,
# and  matrix-baremetal apply  makes it so. All keys are described in matrix-baremetal.yaml(5).

# The part after the colon in @alice:example.org. It can NEVER change: users, rooms and other servers know this
# machine by it. Moving to another name means beginning anew.
server_name: {server_name}

# Where Synapse answers, if not at matrix.<server_name>. It may equal server_name.
# hostname: matrix.example.org
{tls}
# The certificate authority's (Let's Encrypt, unless directory names another) may warn at this address.
acme:
{email}
{admin}
# Whom to talk with: everyone, unless servers are listed here.
# federation:
#   allow: [matrix.org]

# Who may make an account: nobody (closed), or whoever has a token: matrix-baremetal token create.
# registration: token

# Calls between people behind routers go by a relay here (TURN), for people with an account alone. What a router or a
# firewall has to let in for it: matrix-baremetal show ports.
{turn}

# A web client at chat.<server_name>, whose DNS record must lead here: element, hydrogen, or none.
{web_client}

# A page for administrators at admin.<server_name>, whose DNS record must lead here. It is for private networks alone,
# unless allow lists others: matrix-baremetal.yaml(5).
{admin_ui}

# Anything of Synapse's own configuration goes below synapse.settings and is passed on as it is.
# synapse:
#   settings:
#     max_upload_size: 100M
"""
