"""The config's shape as a JSON Schema, for editors: what `shape.Reader` reads, by the same annotations. Pure.

Draft 7, which yaml-language-server and all else that checks YAML can read. It is the coarser of the two: an editor
that is content knows no DNS and no second key, and `matrix-baremetal plan` has the last word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from matrix_baremetal import (
    addresses,
    config_beside,
    config_firewall,
    config_oidc,
    config_registration,
    names,
    settings,
)
from matrix_baremetal.config import Config
from matrix_baremetal.shape import key_of, needed

DRAFT = "http://json-schema.org/draft-07/schema#"
_NAME = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
# What the checks of the annotations come to, as far as a pattern can say it.
PATTERNS: Mapping[Any, str] = {
    names.server_name: _NAME,
    names.hostname: _NAME,
    names.email: r"^[^@\s]+@[^@\s]+$",
    names.localpart: r"^[a-z0-9][a-z0-9._=+-]*$",
    names.path: r"^/",
    names.login: r"^[A-Za-z0-9._@+:~-]+$",
    names.url: r"^https://",
    names.sha256: r"^[0-9a-f]{64}$",
    names.recipient: r"^(age1[a-z0-9]{58}|/.*)$",
    addresses.external: r"^(auto|[0-9]{1,3}(\.[0-9]{1,3}){3})$",
    addresses.peers: r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$",
    config_registration.moment: r"^[0-9]{4}(-[0-9]{2}){2}[T ][0-9]{2}(:[0-9]{2}){1,2}(Z|[+-][0-9]{2}:[0-9]{2})?$",
    config_firewall.zone: r"^[A-Za-z0-9_-]{1,17}$",
    config_beside.jitsi: rf"^(none|self-hosted)$|{_NAME}",
    config_beside.fingerprint: r"^[0-9A-Fa-f ]{40,50}$",
    config_oidc.identifier: r"^[a-z0-9][a-z0-9._~-]{0,63}$",
    config_oidc.client: r"^[A-Za-z0-9._~@/+=-]{1,255}$",
    config_oidc.claim: r"^[A-Za-z][A-Za-z0-9_]{0,63}$",
    config_oidc.scope: r"^[A-Za-z0-9._:/-]{1,255}$",
    names.bcrypt: r"^\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}$",
}
# What each key is for, in a sentence that an editor shows; matrix-baremetal.yaml(5) has the whole.
WHAT: Mapping[str, str] = {
    "server_name": "The part after the colon in @alice:example.org. It can never be changed later.",
    "hostname": "Where the homeserver answers. Default: matrix. before the server name.",
    "former_hostnames": "Names that it had before and answers under still, for who has not learnt the new one.",
    "database": "Where accounts and messages are kept: the local Postgres, or an SQLite file on a small machine.",
    "tls": "Where certificates come from.",
    "tls.mode": "By ACME from a certificate authority, self-signed, or a pair of files of your own.",
    "tls.certificate": "With mode files: the certificate and its chain, a PEM file.",
    "tls.key": "With mode files: its private key, a PEM file.",
    "acme": "The certificate authority.",
    "acme.email": "Where the certificate authority may write to.",
    "acme.directory": "letsencrypt, letsencrypt-staging, or the https address of an ACME directory.",
    "acme.challenge": "How it is proved that a name is ours: by a web page on port 80, or by a record in the DNS.",
    "acme.dns_plugin": "With dns-01: the name of one of certbot's DNS plugins, such as rfc2136.",
    "acme.dns_propagation": "With dns-01: seconds until a new record is everywhere.",
    "federation": "Which other servers this one talks with, and how they find it.",
    "federation.enabled": "Whether other servers' users can take part.",
    "federation.delegation": "How others find this one: a well-known file, an SRV record, or none and port 8448.",
    "federation.allow": "The only servers to talk with. An empty list means all.",
    "registration": "Who may make an account: nobody, whoever has a token, or whoever Synapse has verified.",
    "registration.mode": "The same, where it has an end or needs somebody who looks after it.",
    "registration.unattended_days": "It closes once no administrator has looked in for so many days.",
    "registration.until": "When it closes by itself: 2026-12-24T18:00, as clocks are here; with Z behind it, UTC.",
    "admins": "Administrators to make.",
    "admins.name": "alice, for @alice:example.org.",
    "admins.password_file": "A file with the password; without one, and without a hash, a password is invented.",
    "admins.password_hash": "The password's bcrypt hash, in place of a file.",
    "synapse": "What is Synapse's own.",
    "synapse.settings": "Anything of Synapse's homeserver.yaml, passed on as it is.",
    "synapse.workers": "How many processes.",
    "mail": "How mail leaves this server. Without it nobody gets any.",
    "mail.smtp": "The mail server that takes it.",
    "mail.smtp.host": "Its name.",
    "mail.smtp.port": "Its port: 465 for TLS from the first byte, another for STARTTLS.",
    "mail.smtp.user": "With what name to log in there.",
    "mail.smtp.password_file": "A file with the password for it.",
    "mail.smtp.from": "The address that mail comes from.",
    "mail.smtp.encryption": "Nothing is sent where the mail server does not speak TLS, unless this says none.",
    "oidc": "Where else people have an account by which they log in here: OpenID Connect, by Synapse itself.",
    "oidc.id": "What this provider is called in addresses and files here. It can never be changed later.",
    "oidc.name": "What people read on the button.",
    "oidc.issuer": "The https address by which the provider calls itself.",
    "oidc.client_id": "By what id the provider knows this homeserver.",
    "oidc.client_secret_file": "A file with the secret that belongs to it.",
    "oidc.scopes": "What the provider is asked to tell.",
    "oidc.claim": "What a new account is called by; of email it is what stands before the @.",
    "oidc.claims_from": "Where claims are read: in the ID token, or the provider is asked once more.",
    "oidc.require": "Claims, and the value that each must have: nobody else is let in.",
    "oidc.new_accounts": "Whether somebody who has none gets an account here.",
    "oidc.existing_accounts": "Whether somebody gets the account here that has the name of the claim already.",
    "ldap": "A directory (LDAP) whose people log in here with the password that they have there.",
    "ldap.server": "Its address: ldaps:// for TLS from the first byte, ldap:// for STARTTLS.",
    "ldap.base": "Below which entry people are, such as ou=people,dc=example,dc=org.",
    "ldap.bind_dn": "As whom they are looked up; without it anonymously, where the directory allows that.",
    "ldap.password_file": "A file with the password for it.",
    "ldap.filter": "Who of them may log in, such as (memberOf=cn=matrix,ou=groups,dc=example,dc=org). Default: all.",
    "ldap.attributes": "Which attributes of theirs are used.",
    "ldap.attributes.user": "What they log in with, and what becomes of it here: alice of @alice:example.org.",
    "ldap.attributes.name": "What others see of a new account.",
    "ldap.attributes.mail": "The e-mail address of a new account.",
    "ldap.encryption": "Nothing is asked where it does not speak TLS, unless it is this machine and this says none.",
    "ddns": "For a home line whose address changes: names that follow it, by Debian's ddclient.",
    "ddns.provider": "Who has the names: dynu, no-ip, duckdns, or dyndns2 for any other that speaks that protocol.",
    "ddns.hostnames": "The names that follow, as the provider has them.",
    "ddns.password_file": "A file with the password, or the token of DuckDNS.",
    "ddns.user": "With what name to log in there; none for DuckDNS.",
    "ddns.server": "With dyndns2: the provider's server.",
    "ddns.address": "auto, or the https address of a page that says from which address it was asked.",
    "firewall": "The firewall of this machine that is opened for what the homeserver needs: ufw, firewalld, or none.",
    "firewall.kind": "Which it is: ufw, firewalld, or none.",
    "firewall.zone": "With firewalld: the zone in which the ports are open. Default: its default zone.",
    "alerts": "Who is told each day what doctor finds: what is new, and what is mended.",
    "alerts.invite": "People here who read it in a room of their own: names of accounts, as in alice.",
    "alerts.mail": "An address for when the homeserver takes no message, or nobody is invited. Needs mail.smtp.",
    "metrics": "Numbers for Prometheus, on this machine's loopback address alone.",
    "metrics.enabled": "Whether there are any.",
    "metrics.machine": "Whether of the machine too: no, where a prometheus-node-exporter of yours runs already.",
    "web_client": "A web client on a name of its own.",
    "web_client.kind": "Element, the small Hydrogen, or none.",
    "web_client.hostname": "Where it answers. Default: chat. before the server name.",
    "web_client.release": "Another archive than the one that this release pins, from a mirror for instance.",
    "web_client.release.url": "Its https address.",
    "web_client.release.sha256": "Its hash, as sha256sum prints it.",
    "admin_ui": "A page for administrators, and Synapse's admin API, for some networks alone.",
    "admin_ui.enabled": "Whether there is one.",
    "admin_ui.kind": "Ketesa, the line of synapse-admin that is looked after, or the original.",
    "admin_ui.hostname": "Where it answers. Default: admin. before the server name.",
    "admin_ui.allow": "The networks that it is for, and the admin API. An empty list means private ones.",
    "admin_ui.release": "Another archive than the one that this release pins, from a mirror for instance.",
    "admin_ui.release.url": "Its https address.",
    "admin_ui.release.sha256": "Its hash, as sha256sum prints it.",
    "turn": "The server that relays calls between people who can't reach each other directly.",
    "turn.enabled": "Whether calls are relayed here (TURN).",
    "turn.external_ip": "What others see of this machine behind a router; auto: what the hostname leads to.",
    "turn.allowed_peers": "Private networks or single addresses to relay to all the same. Default: none.",
    "calls": "Calls of more than two people.",
    "calls.element_call": "Servers for Element Call: LiveKit, and lk-jwt-service, which lets people in.",
    "calls.hostname": "Where they answer. Default: matrix-rtc. before the server name.",
    "calls.external_ip": "What others see of this machine behind a router; auto: what that name leads to.",
    "calls.relay": "Whether who can reach LiveKit neither by UDP 7882 nor by TCP 7881 comes by the TURN server.",
    "calls.livekit": "Another archive of LiveKit than the one that this release pins.",
    "calls.livekit.url": "Its https address.",
    "calls.livekit.sha256": "Its hash, as sha256sum prints it.",
    "calls.lk_jwt_service": "The program lk-jwt-service, for this machine's processor. Needed with element_call.",
    "calls.lk_jwt_service.url": "Its https address.",
    "calls.lk_jwt_service.sha256": "Its hash, as sha256sum prints it.",
    "calls.page": "Element Call as a page of its own, for people with an account here to join calls by a link.",
    "calls.page.hostname": "Where it answers. Default: call. before the server name.",
    "calls.page.release": "The archive of Element Call's full package. Needed.",
    "calls.page.release.url": "Its https address.",
    "calls.page.release.sha256": "Its hash, as sha256sum prints it.",
    "calls.page.others": "Names where other homeservers have their servers for group calls, for the page to ask too.",
    "calls.jitsi": "The host name of a Jitsi that there is already, for clients to use; self-hosted; or none.",
    "calls.jitsi_hostname": "Where our own answers. Default: meet. before the server name.",
    "calls.jitsi_repository": "Another place for Jitsi's packages than its makers' own.",
    "calls.jitsi_repository.url": "Its https address, below which stable/ is.",
    "calls.jitsi_repository.key": "The https address of its key. Default: jitsi-key.gpg.key below url.",
    "calls.jitsi_repository.fingerprint": "The key's fingerprint, where it is not Jitsi's own.",
    "bridges": "Bridges to other networks.",
    "bridges.telegram.api_id": "The number that https://my.telegram.org/apps gave you. Needed where it is enabled.",
    "bridges.telegram.api_hash_file": "A file with the api_hash that came with it. Needed where it is enabled.",
    "backup": "Backups of all that can't be made again.",
    "backup.schedule": "Every night, or only when you ask for one.",
    "backup.keep": "How many are kept; older ones go once a new one is whole.",
    "backup.directory": "Where they are kept.",
    "backup.include_media": "Whether they hold what people have uploaded.",
    "backup.encrypt_to": "A recipient of age (age1…), or the file of a public key of gpg.",
    "backup.command": "A program that is given each new backup, to take it elsewhere.",
}

for _name, _network, _by in (("irc", "IRC", "heisenbridge"), ("xmpp", "XMPP", "heisenbridge and Debian's BitlBee")):
    WHAT = {
        **WHAT,
        f"bridges.{_name}": f"{_network}, by {_by}.",
        f"bridges.{_name}.enabled": f"Whether there is a bridge to {_network}.",
        f"bridges.{_name}.owner": "Whose it is: an account's name here, as in alice. Needed where it is enabled.",
    }

for _name, _network in {
    "whatsapp": "WhatsApp",
    "telegram": "Telegram",
    "signal": "Signal",
    "discord": "Discord",
}.items():
    WHAT = {
        **WHAT,
        f"bridges.{_name}": f"{_network}, by mautrix-{_name}.",
        f"bridges.{_name}.enabled": f"Whether there is a bridge to {_network}.",
        f"bridges.{_name}.users": "Who may use it: names of accounts here. None: everybody with an account here.",
        f"bridges.{_name}.admins": "Who may use it, and look into it by its commands for administrators.",
        f"bridges.{_name}.release": "Another program than the pinned one, from a mirror for instance.",
        f"bridges.{_name}.release.url": "Its https address.",
        f"bridges.{_name}.release.sha256": "Its hash, as sha256sum prints it.",
    }


def schema() -> dict[str, Any]:
    """The schema of the whole file."""
    head = {"$schema": DRAFT, "title": "matrix-baremetal: /etc/matrix-baremetal/config.yaml"}
    return head | of(Config, "")


def of(kind: Any, path: str) -> dict[str, Any]:
    """The schema of what stands at a dotted path, by its annotation."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return of(arguments[0], path) | checked(kind.__metadata__)
    if origin in (Union, UnionType):
        return {"anyOf": [of(each, path) for each in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": ["array", "null"], "items": of(arguments[0], path)}
    if origin is Mapping:
        return {"type": ["object", "null"], "additionalProperties": of(arguments[1], path)}
    if is_dataclass(kind):
        return table(kind, path)
    words = {str: "string", int: "integer", bool: "boolean", NoneType: "null"}
    return {"type": words[kind]} if kind in words else {}


def table(kind: Any, path: str) -> dict[str, Any]:
    """The schema of a dataclass: its keys, and no others."""
    hints = get_type_hints(kind, include_extras=True)
    properties = {}
    for field in fields(kind):
        if field.init:
            key = key_of(field.name)
            where = f"{path}.{key}".lstrip(".")
            properties[key] = of(hints[field.name], where) | {"description": WHAT[where]}
            if isinstance(field.default, str | bool | int) and field.default != "":
                properties[key]["default"] = field.default
    required = list(needed(kind))
    # One with nothing but defaults may stand there empty.
    found: dict[str, Any] = {"type": "object" if required else ["object", "null"], "properties": properties}
    return found | {"additionalProperties": False} | ({"required": required} if required else {})


def checked(checks: tuple[Any, ...]) -> dict[str, Any]:
    """What the checks of an annotation say."""
    if settings.permitted in checks:
        keys = [key for key in settings.known() if key not in settings.OURS]
        return {"properties": {key: {} for key in keys}, "additionalProperties": False}
    patterns = [PATTERNS[check] for check in checks if check in PATTERNS]
    return {"pattern": patterns[0]} if patterns else {}
