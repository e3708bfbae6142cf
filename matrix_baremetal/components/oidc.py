"""Single sign-on: people log in with the account that they have elsewhere, by OpenID Connect.

Synapse speaks it by itself; here is what it has to be told, and a look at whoever vouches for people.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from matrix_baremetal.checks import oidc
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import ETC, SECRETS, Component
from matrix_baremetal.config_oidc import Provider
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Need, Needs, Setting
from matrix_baremetal.resources.filled import SecretCopy
from matrix_baremetal.resources.resource import Resource

CLAIMS = {"userinfo": "userinfo_endpoint", "id-token": "auto"}


class Oidc(Component):
    """A list in Synapse's settings, a secret for each entry, and a question to each provider."""

    def wanted(self) -> bool:
        return bool(self.config.oidc)

    def needs(self) -> Iterator[Need]:
        for provider in self.config.oidc:
            yield Setting("oidc_providers", settings(provider), files=(secret(provider),), many=True)

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield from ()

    def data(self, needs: Needs) -> Data:
        paths = (provider.client_secret_file for provider in self.config.oidc)
        # Not just any file of the machine, as the config of an archive that somebody made could name it.
        return Data(tuple(path for path in paths if path.startswith(f"{ETC}/")))

    def checks(self, needs: Needs) -> Iterator[Check]:
        back = callback(self.config.hostname)
        for each in self.config.oidc:
            by_token = each.claims_from == "id-token"
            yield oidc.Provider(
                each.id, each.name, each.issuer, each.client_id, each.client_secret_file, back, by_token
            )


def callback(hostname: str) -> str:
    """Where a provider sends people back to: it has to be told, and takes no other (Synapse's docs/openid.md)."""
    return f"https://{hostname}/_synapse/client/oidc/callback"


def secret(provider: Provider) -> SecretCopy:
    """The secret as Synapse is handed it."""
    return SecretCopy(f"{SECRETS}/oidc-{provider.id}", provider.client_secret_file)


def settings(provider: Provider) -> dict[str, Any]:
    """Synapse's config manual, under oidc_providers; the path of the secret is put in by whoever hands it over."""
    by_name = f"user.get('{provider.claim}') or ''"
    localpart = f"({by_name}) | localpart_from_email" if provider.claim == "email" else by_name
    return {
        "idp_id": provider.id,
        "idp_name": provider.name,
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret_path": secret(provider).path,
        "scopes": list(provider.scopes),
        "user_profile_method": CLAIMS[provider.claims_from],
        "user_mapping_provider": {
            "config": {
                "localpart_template": f"{{{{ {localpart} }}}}",
                "display_name_template": "{{ user.get('name') or '' }}",
            }
        },
        "attribute_requirements": [{"attribute": key, "value": value} for key, value in provider.require.items()],
        "enable_registration": provider.new_accounts,
        "allow_existing_users": provider.existing_accounts,
    }
