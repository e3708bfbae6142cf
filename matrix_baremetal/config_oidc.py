"""Where else people have an account by which they log in here, by OpenID Connect: a part of the config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from matrix_baremetal import names
from matrix_baremetal.nodes import FrozenDict
from matrix_baremetal.shape import Mistake, Mistakes

# Synapse's pattern for idp_id, less capitals: two ids that differ in those alone would be one for whoever reads them.
_ID = re.compile(r"[a-z0-9][a-z0-9._~-]{0,63}")
# No colon: it ends the name where name and secret are sent (RFC 7617 §2).
_CLIENT = re.compile(r"[A-Za-z0-9._~@/+=-]{1,255}")
_CLAIM = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_SCOPE = re.compile(r"[A-Za-z0-9._:/-]{1,255}")


def identifier(text: str) -> str:
    """Check a provider's id here, which is part of addresses, of a file's name and of each account that it brings."""
    if not _ID.fullmatch(text):
        hint = f"; write {names.shown(text.lower())}" if _ID.fullmatch(text.lower()) else ""
        allowed = "lower case letters, digits and . _ ~ - only, a letter or digit first, at most 64"
        raise ValueError(f"{names.shown(text)} can't be an id: {allowed}{hint}")
    return text


def client(text: str) -> str:
    """Check the id that the provider gave this homeserver."""
    if not _CLIENT.fullmatch(text):
        raise ValueError(
            f"{names.shown(text)} is no client id; letters, digits and . _ ~ @ / + = - are what can be used"
        )
    return text


def claim(text: str) -> str:
    """Check the name of a claim: it becomes a part of one of Synapse's templates."""
    if not _CLAIM.fullmatch(text):
        message = "is no usable name of a claim; write letters, digits and _ only, as in preferred_username"
        raise ValueError(f"{names.shown(text)} {message}")
    return text


def scope(text: str) -> str:
    """Check one scope (RFC 6749 §3.3, less what nobody's has)."""
    if not _SCOPE.fullmatch(text):
        raise ValueError(f"{names.shown(text)} is no scope; write letters, digits and . _ : / - only")
    return text


def _scopes(found: tuple[str, ...]) -> tuple[str, ...]:
    if "openid" not in found:
        raise ValueError("without the scope openid nobody says who has logged in; write [openid, profile]")
    return found


def _claims(found: Mapping[str, str]) -> Mapping[str, str]:
    wrong = []
    for name in found:
        try:
            claim(name)
        except ValueError as error:
            wrong.append(Mistake((name,), str(error)))
    if wrong:
        raise Mistakes(wrong)
    return found


@dataclass(frozen=True)
class Provider:
    """Who vouches for people: where that is, how this homeserver is known there, and what becomes of an account.

    `claim` is what a new account is called by; of an `email` it is what stands before the @. Only people with each
    claim of `require`, of just that value, are let in.
    """

    id: Annotated[str, identifier]
    name: Annotated[str, names.line]
    issuer: Annotated[str, names.url]
    client_id: Annotated[str, client]
    client_secret_file: Annotated[str, names.path]
    scopes: Annotated[tuple[Annotated[str, scope], ...], _scopes] = ("openid", "profile")
    claim: Annotated[str, claim] = "preferred_username"
    claims_from: Literal["id-token", "userinfo"] = "id-token"
    require: Annotated[Mapping[str, Annotated[str, names.line]], _claims] = FrozenDict()
    new_accounts: bool = True
    existing_accounts: bool = False

    def __post_init__(self) -> None:
        if self.claim == "email" and "email" not in self.scopes:
            message = "the provider tells no address without the scope email"
            raise Mistakes([Mistake(("claim",), message, "write scopes: [openid, profile, email]")])
        if self.claim == "email" and self.existing_accounts:
            # alice@anywhere is alice too.
            message = "whoever has an address that begins like a name here would get the account of that name"
            raise Mistakes([Mistake(("existing_accounts",), message, "remove it, or take another claim")])


def distinct(providers: tuple[Provider, ...]) -> tuple[Provider, ...]:
    """Hold that no id is there twice."""
    ids = [provider.id for provider in providers]
    twice = [
        Mistake((index, "id"), f"{each} is the id of another provider too", "give one of the two another id")
        for index, each in enumerate(ids)
        if each in ids[:index]
    ]
    if twice:
        raise Mistakes(twice)
    return providers


def clashes(providers: Iterable[Provider], settings: Mapping[str, Any]) -> list[Mistake]:
    """Find the ids that a provider in Synapse's own settings has, which are beside these."""
    theirs = [each.get("idp_id") for each in settings.get("oidc_providers") or () if isinstance(each, Mapping)]
    return [
        Mistake(("oidc", index, "id"), f"synapse.settings.oidc_providers has {each.id} too", "keep one of the two")
        for index, each in enumerate(providers)
        if each.id in theirs
    ]
