"""How people log in with the password that a directory (LDAP) has of them: a part of the config.

What stands here becomes part of a search, so each of it has to be what it is called: a name in a directory, an
attribute, a filter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from matrix_baremetal import names
from matrix_baremetal.config_mail import LOOPBACK
from matrix_baremetal.shape import Mistake, Mistakes

LONGEST = 2000
_SERVER = re.compile(r"(ldaps?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/?")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
# RFC 4514: a row of attribute=value, where what has a meaning of its own stands behind a backslash.
_PART = r"[A-Za-z0-9][A-Za-z0-9.-]*=(?:[^,;\"\\<>]|\\.)+"
_NAME = re.compile(rf"{_PART}(?:, ?{_PART})*")
# RFC 4515: one condition, with no parenthesis in it but as \28 and \29.
_CONDITION = re.compile(r"\([A-Za-z][A-Za-z0-9.;:-]*[~<>:]?=(?:[^()\\]|\\[0-9A-Fa-f]{2})*\)")
_JOINED = re.compile("\\((?:[&|]\0+|!\0)\\)")


def server(text: str) -> str:
    """Check where a directory is: ldaps://HOST or ldap://HOST, maybe with a port."""
    found = _SERVER.fullmatch(text)
    if not found or not 1 <= int(found[3] or 1) <= 65535:
        raise ValueError(f"{names.shown(text)} is no address of a directory; write it like ldaps://ldap.example.org")
    names.mail_host(found[2].strip("[]").lower())
    return text.removesuffix("/")


def attribute(text: str) -> str:
    """Check the name of an attribute, which becomes part of a search (RFC 4512, descr)."""
    if not _ATTRIBUTE.fullmatch(text):
        raise ValueError(f"{names.shown(text)} is no attribute; write one like uid, with letters, digits and - only")
    return text


def entry(text: str) -> str:
    """Check the name of an entry of a directory (a DN, RFC 4514)."""
    if len(text) > LONGEST or not text.isprintable() or not _NAME.fullmatch(text):
        example = "ou=people,dc=example,dc=org"
        raise ValueError(f"{names.shown(text)} names no entry of a directory (it is no DN); write one like {example}")
    return text


def account(text: str) -> str:
    """Check as whom a directory is searched: an entry, or with Active Directory a name like matrix@example.org."""
    try:
        return entry(text)
    except ValueError as error:
        name, at, domain = text.partition("@")
        if not at or "=" in text:
            raise error from None
        return f"{names.login(name)}@{names.hostname(domain.lower())}"


def condition(text: str) -> str:
    """Check a filter, which goes beside other conditions and must not end before its end (RFC 4515)."""
    left = _CONDITION.sub("\0", text) if text.isprintable() and len(text) <= LONGEST else ""
    while left != (shorter := _JOINED.sub("\0", left)):
        left = shorter
    if left != "\0":
        example = "(memberOf=cn=matrix,ou=groups,dc=example,dc=org)"
        raise ValueError(f"{names.shown(text)} is no filter of LDAP; write one like {example}, in quotes")
    return text


@dataclass(frozen=True)
class Attributes:
    """Which attributes of a person are what is between @ and the colon, what others see, and the e-mail address."""

    user: Annotated[str, attribute] = "uid"
    name: Annotated[str, attribute] = "cn"
    mail: Annotated[str, attribute] = "mail"


@dataclass(frozen=True)
class Ldap:
    """A directory: where it is, as whom it is searched (without `bind_dn` anonymously), below what and for whom.

    ldaps:// speaks TLS from the first byte, ldap:// begins it with STARTTLS, or speaks none on this machine.
    """

    server: Annotated[str, server]
    base: Annotated[str, entry]
    bind_dn: Annotated[str, account] | None = None
    password_file: Annotated[str, names.path] | None = None
    filter: Annotated[str, condition] | None = None
    attributes: Attributes = Attributes()
    encryption: Literal["required", "none"] = "required"

    @property
    def begins(self) -> bool:
        """Say whether TLS begins with STARTTLS."""
        return self.encryption == "required" and not self.server.startswith("ldaps:")

    def __post_init__(self) -> None:
        wrong = []
        if self.bind_dn and not self.password_file:
            wrong.append(Mistake(("bind_dn",), "a login needs a password too", "write password_file: FILE"))
        if self.password_file and not self.bind_dn:
            message = "a password needs to be somebody's"
            wrong.append(Mistake(("password_file",), message, "write bind_dn: cn=matrix,dc=example,dc=org"))
        found = _SERVER.fullmatch(self.server)
        if self.encryption == "none" and found and found[2].strip("[]") not in LOOPBACK:
            message = "everybody's passwords would go to another machine for all to read on the way"
            wrong.append(Mistake(("encryption",), message, "remove the line: ldap:// speaks TLS by STARTTLS then"))
        elif self.encryption == "none" and found and found[1] == "ldaps":
            wrong.append(Mistake(("encryption",), "ldaps:// is encrypted", "remove the line, or write ldap://"))
        if wrong:
            raise Mistakes(wrong)

    def clashes(self, settings: Mapping[str, Any]) -> list[Mistake]:
        """Say what of Synapse's settings lets nobody log in by it (its config manual, under either key)."""
        passwords, service = (settings.get(key) for key in ("password_config", "matrix_authentication_service"))
        wrong = []
        if isinstance(passwords, Mapping) and passwords.get("enabled", True) is not True:
            message = "synapse.settings.password_config lets nobody log in with a password, as people of LDAP do"
            wrong.append(
                Mistake(("ldap",), message, "remove one of the two; without local ones: localdb_enabled: false")
            )
        if isinstance(service, Mapping) and service.get("enabled"):
            message = "with matrix_authentication_service in synapse.settings it is that which looks passwords up"
            wrong.append(Mistake(("ldap",), message, "remove one of the two"))
        return wrong
