"""What may stand in `synapse.settings`: anything of Synapse's own, except what we write and what would be a secret.

Synapse takes the last word of two files and takes a typo for nothing, so both are said here, before it starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from matrix_baremetal.names import shown
from matrix_baremetal.shape import Mistake, Mistakes, meant

SYNAPSE = "1.163.2"  # the version that synapse_keys.txt was made from

# What to do instead: the keys of Synapse that we write.
_INSTEAD = {
    "use server_name at the top of this file": ("server_name",),
    "use hostname at the top of this file": ("public_baseurl",),
    "use database at the top of this file": ("database", "databases", "database_path"),
    "use registration at the top of this file": (
        "enable_registration",
        "enable_registration_without_verification",
        "registration_requires_token",
    ),
    "use federation.allow": ("federation_domain_whitelist",),
    "use federation.delegation; nginx answers for /.well-known": ("serve_server_wellknown",),
    "use tls.mode; nginx speaks TLS for Synapse": ("tls_certificate_path", "tls_private_key_path", "no_tls"),
    "use hostname; Synapse listens to nginx alone": ("listeners", "bind_host", "bind_port", "unsecure_port"),
    "remove it; a listener for metrics would be open without a password": ("metrics_port", "metrics_bind_host"),
    "remove it; secrets are made once and kept below /etc/matrix-baremetal/secrets": (
        "registration_shared_secret",
        "registration_shared_secret_path",
        "macaroon_secret_key",
        "macaroon_secret_key_path",
        "form_secret",
        "form_secret_path",
        "signing_key",
        "signing_key_path",
    ),
    "remove it; media is kept in /var/lib/matrix-synapse, and backups look there": ("media_store_path",),
    "remove it; logs go to the journal: journalctl -u matrix-synapse": ("log_config", "no_redirect_stdio"),
    "remove it; systemd runs Synapse": ("pid_file", "daemonize", "print_pidfile"),
    "use synapse.workers": (
        "redis",
        "instance_map",
        "stream_writers",
        "start_pushers",
        "pusher_instances",
        "send_federation",
        "federation_sender_instances",
        "outbound_federation_restricted_to",
        "run_background_tasks_on",
        "update_user_directory_from_worker",
        "notify_appservices_from_worker",
        "media_instance_running_background_jobs",
        "worker_replication_secret",
        "worker_replication_secret_path",
        "worker_app",
        "worker_name",
        "worker_listeners",
        "worker_manhole",
        "worker_daemonize",
        "worker_pid_file",
        "worker_log_config",
    ),
}
OURS: Mapping[str, str] = {key: instead for instead, keys in _INSTEAD.items() for key in keys}

# What Synapse refuses under --no-secrets-in-config, beside what is ours: each has a twin whose name ends in _path.
SECRETS: tuple[tuple[str, ...], ...] = (
    ("turn_shared_secret",),
    ("recaptcha_public_key",),
    ("recaptcha_private_key",),
    ("matrix_authentication_service", "secret"),
)
# Lists that parts of ours add something to.
LISTS = ("app_service_config_files", "modules", "oidc_providers")
# Synapse asks for a captcha only with all three.
CAPTCHA = ("enable_registration_captcha", "recaptcha_public_key_path", "recaptcha_private_key_path")


def permitted(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the settings back, or raise `Mistakes` with every key that can't be there and what to use instead."""
    mistakes = (*_ours(settings), *_secrets(settings), *_unknown(settings), *_lists(settings))
    if mistakes:
        raise Mistakes(mistakes)
    return settings


def _ours(settings: Mapping[str, Any]) -> Iterator[Mistake]:
    for key in settings:
        if key in OURS:
            yield Mistake((key,), "this setting is written by matrix-baremetal", OURS[key])


def _secrets(settings: Mapping[str, Any]) -> Iterator[Mistake]:
    for path in SECRETS:
        value: Any = settings
        for step in path:
            value = value.get(step) if isinstance(value, Mapping) else None
        if value is not None:
            message = "a secret can't stand in this file, which people show each other"
            yield Mistake(path, message, f"put it in a file and write {path[-1]}_path: FILE")


def _unknown(settings: Mapping[str, Any]) -> Iterator[Mistake]:
    for key in settings:
        if key not in OURS and key not in known():
            hint = meant(key, known()) or "Synapse would pass over it in silence"
            yield Mistake((key,), f"Synapse {SYNAPSE} has no setting {shown(key)}", hint)


def _lists(settings: Mapping[str, Any]) -> Iterator[Mistake]:
    for key in LISTS:
        if not isinstance(settings.get(key), tuple | None):
            yield Mistake((key,), "expected a list, as Synapse's config manual has it")


def captcha(settings: Mapping[str, Any]) -> bool:
    """Whether whoever registers is asked for a captcha."""
    return all(settings.get(key) for key in CAPTCHA)


def unverified(settings: Mapping[str, Any]) -> str | None:
    """Say what is missing for registration without a token; None where a captcha or a verified e-mail is asked for.

    Synapse's config manual, enable_registration: one of the two, or it doesn't start.
    """
    keys = [key for key in CAPTCHA if not settings.get(key)]
    if not keys:
        return None
    required, email = settings.get("registrations_require_3pid"), settings.get("email")
    verified = isinstance(required, tuple) and "email" in required
    if verified and isinstance(email, Mapping) and email.get("notif_from"):
        return None
    if len(keys) < len(CAPTCHA):
        return f"add to synapse.settings: {', '.join(keys)}"
    if verified:
        return "add to synapse.settings: email, with smtp_host and notif_from"
    return (
        "use token, or add to synapse.settings a captcha (enable_registration_captcha: true, "
        "recaptcha_public_key_path, recaptcha_private_key_path), or write mail: {smtp: ...}"
    )


@cache
def known() -> tuple[str, ...]:
    """Name the top-level keys that this Synapse has."""
    lines = Path(__file__).with_name("synapse_keys.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))
