"""The content of homeserver.yaml: what we derive, with the operator's `synapse.settings` over it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from matrix_baremetal.components.component import SECRETS
from matrix_baremetal.config import Config
from matrix_baremetal.needs import Setting
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.site import Site
from matrix_baremetal.yamlfile import dump

HEAD = """\
# Written by matrix-baremetal; a change here is undone by the next run, and kept in
# /var/lib/matrix-baremetal/displaced. Edit instead: synapse.settings in /etc/matrix-baremetal/config.yaml,
# then run: matrix-baremetal apply
"""
# The secrets of Synapse by the name under which systemd hands them to it (LoadCredential= in its unit).
CREDENTIALS = {
    name: f"{SECRETS}/{name}" for name in ("registration_shared_secret", "macaroon_secret_key", "form_secret")
}
CREDENTIALS["signing_key"] = "/var/lib/matrix-synapse/signing.key"
# What each is for, and what another one would end (Synapse's config manual; its util/macaroons.py); None: all.
SECRET_USES: Mapping[str, tuple[str, str | None]] = {
    "registration_shared_secret": ("lets root make accounts", "nothing"),
    "macaroon_secret_key": (
        "signs what Synapse hands out for a while",
        "guests' logins, logins by single sign-on that are under way, and links in mails that were sent",
    ),
    "form_secret": ("signs links to pages of consent", "links that were sent and not followed yet"),
    "signing_key": ("shows other servers who this is", None),
}
USER = "matrix-synapse"
LOADED = "/run/credentials/matrix-synapse.service"
# Bytes of memory below which one busy room of the public network can take all of it. A room is refused by its
# complexity, a five-hundredth of its current state events (Synapse's config manual, limit_remote_rooms).
SMALL = 2 * 1024**3
REMOTE_ROOMS = {
    "enabled": True,
    "complexity": 3.0,
    "complexity_error": "This room is too large for this homeserver's memory.",
    "admins_can_join": True,
}
# Where a preview of a link in somebody's message must not lead: Synapse's config manual, under
# url_preview_ip_range_blacklist. Synapse has no default, and does not start without one.
PRIVATE = (
    *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24"),
    *("169.254.0.0/16", "192.88.99.0/24", "198.18.0.0/15", "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),
    *("224.0.0.0/4", "::1/128", "fe80::/10", "fc00::/7", "2001:db8::/32", "ff00::/8", "fec0::/10"),
)
# Without a password, and so for this machine alone.
METRICS = {"port": 9008, "bind_addresses": ["127.0.0.1"], "type": "metrics"}
UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def homeserver_yaml(site: Site, more: tuple[Setting, ...]) -> str:
    """The whole file. A key that the operator sets replaces ours whole, as Synapse itself merges files."""
    config = site.config
    settings: dict[str, Any] = {
        "server_name": config.server_name,
        "public_baseurl": f"https://{config.hostname}/",
        "report_stats": False,
        "listeners": [listener(config), *([METRICS] if config.metrics.enabled else [])],
        "database": site.store(USER).settings,
        "signing_key_path": f"{LOADED}/signing_key",
        "registration_shared_secret_path": f"{LOADED}/registration_shared_secret",
        "macaroon_secret_key_path": f"{LOADED}/macaroon_secret_key",
        "form_secret_path": f"{LOADED}/form_secret",
        "log_config": "/etc/matrix-synapse/log.yaml",
        "media_store_path": "/var/lib/matrix-synapse/media",
        "max_upload_size": "50M",
        # What other servers have and can be had again, and what nobody here can see any more, is not kept for good.
        "media_retention": {"remote_media_lifetime": "90d"},
        "forgotten_room_retention_period": "28d",
        "enable_registration": False,
        "allow_guest_access": False,
        "trusted_key_servers": [{"server_name": "matrix.org"}],
        "suppress_key_server_warning": True,
        "caches": {"global_factor": cache_factor(site.facts.memory)},
    }
    if not config.federation.enabled:
        # The documented way to federate with nobody (Synapse's config manual, federation_domain_whitelist).
        settings["federation_domain_whitelist"] = []
    elif config.federation.allow:
        settings["federation_domain_whitelist"] = list(config.federation.allow)
    if site.facts.memory < SMALL:
        settings["limit_remote_rooms"] = REMOTE_ROOMS
    if config.synapse.settings.get("url_preview_enabled"):
        settings["url_preview_ip_range_blacklist"] = list(PRIVATE)
    settings |= {each.key: value(each) for each in more if not each.many and not each.secrets}
    settings |= dict(config.synapse.settings)
    for each in more:
        if each.many:
            settings[each.key] = [*(settings.get(each.key) or ()), value(each)]
    return HEAD + dump(settings)


def value(setting: Setting) -> Any:
    """What stands in the file."""
    if setting.handed is None:
        return setting.value
    name, path = setting.handed
    return f"{LOADED}/{name}" if setting.value is None else renamed(setting.value, path, f"{LOADED}/{name}")


def renamed(value: Any, old: str, new: str) -> Any:
    """A value in which a path stands for another, wherever in it."""
    if isinstance(value, Mapping):
        return {key: renamed(each, old, new) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [renamed(each, old, new) for each in value]
    return new if value == old else value


def secret_yaml(setting: Setting) -> str:
    """A setting with secrets, whose marks stand for them, as a file of its own."""
    return HEAD.splitlines()[0] + "\n" + dump({setting.key: setting.value})


def listener(config: Config) -> dict[str, Any]:
    """The one listener, for nginx alone: without bind_addresses Synapse would listen everywhere."""
    names = ["client", "federation"] if config.federation.enabled else ["client"]
    return {
        "port": PORT,
        "bind_addresses": ["127.0.0.1"],
        "type": "http",
        "tls": False,
        "x_forwarded": True,
        "resources": [{"names": names, "compress": False}],
    }


def cache_factor(memory: int) -> float:
    """How large Synapse's caches may grow: its default below 4 GiB, more where there is memory for it."""
    return 0.5 if memory < 4 * UNITS["G"] else 1.0 if memory < 16 * UNITS["G"] else 2.0


def upload_size(config: Config) -> int:
    """The largest upload in bytes, for nginx to allow what Synapse does."""
    text = str(config.synapse.settings.get("max_upload_size", "50M"))
    size = re.fullmatch(r"(\d+)([KMGT]?)", text)
    return int(size[1]) * UNITS[size[2]] if size else 50 * UNITS["M"]


def log_yaml() -> str:
    """Python's logging for Synapse: to stderr and so to the journal, which adds time and unit itself."""
    return (
        HEAD.splitlines()[0]
        + "\n"
        + dump(
            {
                "version": 1,
                "formatters": {"journal": {"format": "%(name)s - %(levelname)s - %(request)s - %(message)s"}},
                "handlers": {"journal": {"class": "logging.StreamHandler", "formatter": "journal"}},
                "root": {"level": "WARNING", "handlers": ["journal"]},
                "disable_existing_loggers": False,
            }
        )
    )
