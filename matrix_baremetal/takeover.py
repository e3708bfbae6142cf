"""What becomes of the settings of a Synapse that is taken over: kept as they are, moved to where ours has them, or
left out and why. Pure: a mapping in, a page and a config out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from matrix_baremetal import HOW_TO, first_config, names, settings
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.yamlfile import dump

CONFIG = "/etc/matrix-baremetal/config.yaml"
CONF_D = "/etc/matrix-synapse/conf.d"
KEY = "/var/lib/matrix-synapse/signing.key"
OWN = ("registration_shared_secret", "macaroon_secret_key", "form_secret")
SECRETS = "/etc/matrix-baremetal/secrets"

_MOVED = {
    "Synapse listens to nginx alone, on 127.0.0.1:8008": ("listeners", "bind_host", "bind_port", "unsecure_port"),
    "nginx speaks TLS (tls.mode)": ("tls_certificate_path", "tls_private_key_path", "no_tls"),
    "nginx answers for /.well-known (federation.delegation)": ("serve_server_wellknown",),
    "the journal: journalctl -u matrix-synapse": ("log_config", "no_redirect_stdio", "log_file", "verbose"),
    "systemd runs Synapse": ("pid_file", "daemonize", "print_pidfile"),
    "/var/lib/matrix-synapse/media": ("media_store_path",),
    KEY: ("signing_key", "signing_key_path"),
    **{f"{SECRETS}/{name}": (name, f"{name}_path") for name in OWN},
}
MOVED: Mapping[str, str] = {key: where for where, keys in _MOVED.items() for key in keys}

_WORKERS = "one process does all in this release (synapse.workers); the data is the same"
_MODULE = "its Python package is not in our virtualenv, and this release has no way to add one"
_LDAP = f"write its directory as ldap in {CONFIG} ({HOW_TO}/ldap.md); of any other module {_MODULE}"
LEFT: Mapping[str, str] = {
    "app_service_config_files": "copy each file to /etc/matrix-synapse/conf.d, readable for matrix-synapse; let "
    "the bridge speak to 127.0.0.1:8008; then write the key below synapse.settings",
    "modules": _MODULE,
    "password_providers": _MODULE,
    "spam_checker": _MODULE,
    "third_party_event_rules": _MODULE,
    "media_storage_providers": f"{_MODULE}; media that only its storage has will be missing",
    "sentry": _MODULE,
    "opentracing": _MODULE,
    "saml2_config": _MODULE,
    "metrics_port": "a listener for metrics would be open without a password",
    "metrics_bind_host": "a listener for metrics would be open without a password",
    **{key: _WORKERS for key, instead in settings.OURS.items() if instead == "use synapse.workers"},
}
# Where the usual image of Synapse has its folder.
NONE_OF_OURS = {
    "web_client": "none was here before",
    "admin_ui": "none was here before",
    "turn": "whoever relayed calls before goes on doing so",
}
INSIDE = re.compile(r"/data(/|$)")


@dataclass(frozen=True)
class Row:
    """A setting of theirs; `where` is the place where it is now, or why it is nowhere and what to do."""

    key: str
    fate: Literal["kept", "moved", "left"]
    where: str


@dataclass(frozen=True)
class Takeover:
    """What our config says for theirs: `head` its keys above synapse.settings, `files` secrets with a file each."""

    server_name: str
    head: dict[str, Any]
    settings: dict[str, Any]
    files: dict[str, str]
    rows: tuple[Row, ...]
    obstacles: tuple[Obstacle, ...]

    def text(self, email: str | None) -> str:
        """The config.yaml."""
        blocks = dict(self.head)
        if self.settings:
            blocks["synapse"] = {"settings": self.settings}
        more = (
            "\n# Taken over from the Synapse that was here before.\n" + dump(blocks, careful=True) if blocks else ""
        )
        return first_config.text(self.server_name, email, without=NONE_OF_OURS) + more

    def against(self, ours: Mapping[str, Any]) -> Takeover:
        """The same where there is a config already, which stays as it is: what is not in it is left out."""
        rows = tuple(
            Row(row.key, "left", f"write it below synapse.settings in {CONFIG}")
            if row.where.startswith("synapse.settings") and row.key not in ours
            else row
            for row in self.rows
        )
        return replace(self, rows=rows)


def taken_over(theirs: Mapping[str, Any], database: str, hostname: str | None) -> Takeover:
    """Sort all settings. `database` is ours: postgres or sqlite; `hostname` goes before public_baseurl."""
    server_name = str(theirs.get("server_name", ""))
    obstacles = []
    try:
        names.server_name(server_name)
    except ValueError as error:
        obstacles.append(Obstacle(f"server_name: {error}", "this server can't be taken over by matrix-baremetal"))
    head, rows = derived(theirs, database, hostname)
    kept: dict[str, Any] = {}
    files: dict[str, str] = {}
    for key, value in theirs.items():
        if key in {row.key for row in rows}:
            continue
        row = sorted_out(key, value)
        if row.fate == "kept":
            row = put(kept, files, key, value)
        rows.append(row)
    return Takeover(server_name, head, kept, files, tuple(rows), tuple(obstacles))


def sorted_out(key: str, value: Any) -> Row:
    """What becomes of one setting that means nothing to our config."""
    if key in MOVED:
        return Row(key, "moved", MOVED[key])
    if key in ("modules", "password_providers") and "ldap_auth_provider" in str(value):
        return Row(key, "left", _LDAP)
    if key in LEFT:
        return Row(key, "left", LEFT[key]) if value else Row(key, "moved", "it is empty")
    if key not in settings.known():
        return Row(key, "left", f"Synapse {settings.SYNAPSE} has no such setting")
    if key in settings.OURS:
        return Row(key, "moved", settings.OURS[key])
    if inside := next(paths(value), None):
        where = f"it names {inside} of the container: copy that to {CONF_D}, and write the key below synapse.settings"
        return Row(key, "left", where)
    return Row(key, "kept", f"synapse.settings.{key}")


def paths(value: Any) -> Iterator[str]:
    """The places in the container that a setting names, wherever in it."""
    if isinstance(value, str) and INSIDE.match(value):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from paths(each)


def put(kept: dict[str, Any], files: dict[str, str], key: str, value: Any) -> Row:
    """Keep a setting; a secret that Synapse wants in a file of its own gets one."""
    for path in settings.SECRETS:
        if path == (key,) and value is not None:
            files[f"{CONF_D}/{key}"], kept[f"{key}_path"] = str(value), f"{CONF_D}/{key}"
            return Row(key, "moved", f"{CONF_D}/{key}, by synapse.settings.{key}_path")
        if path[0] == key and isinstance(value, dict) and value.get(path[1]) is not None:
            inner = dict(value)
            files[f"{CONF_D}/{key}_{path[1]}"] = str(inner.pop(path[1]))
            kept[key] = {**inner, f"{path[1]}_path": f"{CONF_D}/{key}_{path[1]}"}
            return Row(key, "kept", f"synapse.settings.{key}, with its secret in {CONF_D}/{key}_{path[1]}")
    kept[key] = value
    return Row(key, "kept", f"synapse.settings.{key}")


def derived(theirs: Mapping[str, Any], database: str, hostname: str | None) -> tuple[dict[str, Any], list[Row]]:
    """The keys of our own config that say the same, and where their settings went."""
    head: dict[str, Any] = {}
    rows = [Row("server_name", "moved", "server_name")]
    base = urlsplit(str(theirs.get("public_baseurl") or ""))
    name = hostname or base.hostname
    if name:
        head["hostname"] = name
    if "public_baseurl" in theirs:
        rows.append(Row("public_baseurl", "moved", f"hostname: {name}, on port 443"))
    head["database"] = database
    rows += [Row(key, "moved", f"database: {database}") for key in DATABASE if key in theirs]
    head |= registration(theirs, rows)
    if "federation_domain_whitelist" in theirs:
        allowed = theirs["federation_domain_whitelist"]
        if allowed is not None:
            head["federation"] = {"allow": list(allowed)} if allowed else {"enabled": False}
        rows.append(
            Row("federation_domain_whitelist", "moved", "federation.allow" if allowed else "federation.enabled")
        )
    return head, rows


DATABASE = ("database", "databases", "database_path")
UNVERIFIED = "enable_registration_without_verification"
REGISTRATION = ("enable_registration", "registration_requires_token", UNVERIFIED)


def registration(theirs: Mapping[str, Any], rows: list[Row]) -> dict[str, Any]:
    """Who may make an account. Open to everybody's programs it is no more."""
    on, token, unverified = (bool(theirs.get(key)) for key in REGISTRATION)
    word = "closed" if not on or (unverified and not token) else "token" if token else "open"
    shut = on and word == "closed"
    for key in REGISTRATION:
        if key in theirs:
            why = "registration: closed, or programs would make accounts by the thousand; for people: token"
            rows.append(Row(key, "left" if shut else "moved", why if shut else f"registration: {word}"))
    return {"registration": word} if word != "closed" else {}
