"""Whether people could log in here by way of an identity provider."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from matrix_baremetal.checks.check import Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.names import shown
from matrix_baremetal.net import read
from matrix_baremetal.resources.filled import in_utf8
from matrix_baremetal.web import Request, Response

# Seconds: how long a provider may take; people wait for the same answers.
PATIENCE = 6.0
# What a provider says to a client that it does not know, or not by this secret (RFC 6749 §5.2).
REFUSED = ("invalid_client", "unauthorized_client")
# The lists of a provider's document that Synapse looks at where they are there, and what it needs in them.
NEEDED = {
    "response_types_supported": "code",
    "token_endpoint_auth_methods_supported": "client_secret_basic",
    "code_challenge_methods_supported": "S256",
}


@dataclass(frozen=True)
class Provider(Check):
    """An identity provider: its document, and whether it knows this homeserver by its secret.

    `callback` is where it sends people back to; `by_token` that an ID token says all, and nobody is asked who it was.
    """

    form = "oidc.{0.provider}"
    asks = "an identity provider is there, has all that Synapse needs of it, and takes the secret"
    remote = True
    depth = 2

    provider: str
    name: str
    issuer: str
    client_id: str
    secret_file: str
    callback: str
    by_token: bool = False

    def look(self, host: Host) -> Finding:
        node, secret = host.node(self.secret_file), (host.text(self.secret_file) or "").strip("\r\n")
        if node is None or not secret:
            fill = f"install -m 600 /dev/stdin {self.secret_file}"
            return self.failed(f"{self.secret_file} should hold the secret of {self.name} and does not", next=fill)
        if node.mode & 0o077:
            message = f"{self.secret_file} can be read by others than its owner"
            return self.failed(message, next=f"chmod 600 {self.secret_file}")
        in_utf8(secret, self.secret_file)
        url = document_of(self.issuer)
        seen = host.net.request(Request(url, timeout=PATIENCE))
        document = read(seen.body)
        if why := unread(seen, document):
            message = f"the provider {self.name} is not found, so nobody can log in by it"
            return self.failed(message, url, why, next=MEND.format(self.provider))
        if missing := tuple(lacking(document, by_token=self.by_token)):
            message = f"the provider {self.name} lacks what Synapse needs, so nobody can log in by it"
            return self.failed(message, url, *missing, next=MEND.format(self.provider))
        return self._known(host, document, secret)

    def _known(self, host: Host, document: Mapping[str, Any], secret: str) -> Finding:
        """Ask for what a code would bring, with one that nobody was given: who may ask is looked at first."""
        url = document["token_endpoint"]
        fields = {"grant_type": "authorization_code", "code": secrets.token_hex(16), "redirect_uri": self.callback}
        login = (self.client_id, secret)
        asked = Request(url, method="POST", timeout=PATIENCE, form=tuple(fields.items()), login=login)
        seen = host.net.request(asked)
        if seen.fault:
            message = f"the provider {self.name} does not answer the homeserver, so nobody can log in by it"
            return self.failed(message, url, seen.fault, next=MEND.format(self.provider))
        said = read(seen.body)
        error = str(said.get("error") or "")
        if seen.status == 401 or error in REFUSED:
            why = shown(": ".join(str(said[key]) for key in ("error", "error_description") if said.get(key)), 120)
            message = (
                f"the provider {self.name} does not take the client_id and its secret, so nobody can log in by it"
            )
            cure = f"write the secret that it shows for this client into {self.secret_file}; matrix-baremetal apply"
            return self.failed(message, f"status {seen.status}: {why}", next=cure)
        if document["issuer"] != self.issuer:
            message = (
                f"the provider {self.name} calls itself {shown(document['issuer'], 120)}, not as the config does"
            )
            return self.warned(
                message, next=f"write it so, behind issuer: of {self.provider}; matrix-baremetal apply"
            )
        return self.fine(f"the provider {self.name} lets people log in", f"it sends them back to {self.callback}")


MEND = "mend the issuer of {} under oidc in config.yaml, then: matrix-baremetal apply; or see to the provider"


def document_of(issuer: str) -> str:
    """Where a provider describes itself (OpenID Connect Discovery 1.0 §4.1)."""
    return f"{issuer.rstrip('/')}/.well-known/openid-configuration"


def unread(seen: Response, document: Mapping[str, Any]) -> str:
    """Why there is no document; nothing where there is one. Redirects are not followed, as Synapse does not."""
    if seen.fault or seen.untrusted:
        return seen.fault or f"its certificate does not hold: {seen.untrusted}"
    if seen.status != 200:
        leads = f", which leads to {shown(seen.headers['location'], 120)}" if "location" in seen.headers else ""
        return f"status {seen.status}{leads}"
    return "" if document else "what it says is no JSON"


def lacking(document: Mapping[str, Any], *, by_token: bool) -> Iterator[str]:
    """What Synapse would miss in a provider's document (its handlers/oidc.py, _validate_metadata)."""
    asked = () if by_token else ("userinfo_endpoint",)
    for key in ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", *asked):
        found = document.get(key)
        if not isinstance(found, str) or not found.startswith("https://"):
            yield f"its {key} is {'none' if found is None else 'no https address'}"
    for key, word in NEEDED.items():
        found = document.get(key)
        if found is not None and (not isinstance(found, list) or word not in found):
            yield f"its {key} has no {word}"
