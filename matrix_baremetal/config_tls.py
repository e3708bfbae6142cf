"""Where certificates come from: a part of the config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from matrix_baremetal import names
from matrix_baremetal.shape import Mistake, Mistakes, meant

# Let's Encrypt's documented directories; staging has generous limits and certificates that nobody trusts.
DIRECTORIES: Mapping[str, str] = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}


def _directory(text: str) -> str:
    if text in DIRECTORIES:
        return text
    if ":" in text:
        return names.url(text)
    hint = meant(text, DIRECTORIES)
    message = (
        f"expected {' or '.join(DIRECTORIES)} or an address that begins with https://, found {names.shown(text)}"
    )
    raise Mistakes([Mistake((), message, hint)])


def _seconds(number: int) -> int:
    if not 1 <= number <= 3600:
        raise ValueError(f"{number} is not between 1 and 3600 seconds")
    return number


def _only_with(key: str, value: str, chosen: str, needed: Mapping[str, object], **allowed: object) -> None:
    """Hold that some keys stand there where `key` has this value, and they and others nowhere else."""
    given = {name for name, found in {**needed, **allowed}.items() if found is not None}
    if chosen == value:
        missing = [name for name in needed if name not in given]
        wrong = [Mistake((key,), f"{value} needs the key {name} too", f"write {name}: VALUE") for name in missing]
    else:
        wrong = [Mistake((name,), f"means nothing without {key}: {value}", "remove it") for name in sorted(given)]
    if wrong:
        raise Mistakes(wrong)


@dataclass(frozen=True)
class Tls:
    """Where certificates come from; with `files`, which pair it is."""

    mode: Literal["acme", "self-signed", "files"] = "acme"
    certificate: Annotated[str, names.path] | None = None
    key: Annotated[str, names.path] | None = None

    def __post_init__(self) -> None:
        _only_with("mode", "files", self.mode, {"certificate": self.certificate, "key": self.key})


@dataclass(frozen=True)
class Acme:
    """The certificate authority, which may be told an address to warn, and how it is shown that a name is ours."""

    email: Annotated[str, names.email] | None = None
    directory: Annotated[str, _directory] = "letsencrypt"
    challenge: Literal["http-01", "dns-01"] = "http-01"
    dns_plugin: Annotated[str, names.dns_plugin] | None = None
    dns_propagation: Annotated[int, _seconds] | None = None

    def __post_init__(self) -> None:
        plugin = {"dns_plugin": self.dns_plugin}
        _only_with("challenge", "dns-01", self.challenge, plugin, dns_propagation=self.dns_propagation)

    @property
    def url(self) -> str:
        """Give the directory's address, which may have been named by a word."""
        return DIRECTORIES.get(self.directory, self.directory)
