"""Synapse's module for LDAP (matrix-synapse-ldap3), as homeserver.yaml names it: with an end to its waiting.

It stands outside of the virtualenv, which has the module itself. What is overridden here is promised by nobody, and
is what its pinned version has.
"""

from __future__ import annotations

from typing import Any

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.conv import escape_filter_chars
from ldap_auth_provider import LdapAuthProviderModule

# Seconds.
PATIENCE = 5


class Directory(LdapAuthProviderModule):
    """One directory, which may be away."""

    def _get_server(self, get_info: str | None = None) -> ldap3.Server:
        # The module's own is a pool, which looks for a server that answers until there is one. Each login would wait
        # in it, the local administrator's too, and take one of the few threads in which Synapse also looks names up.
        return ldap3.Server(self.ldap_uris[0], get_info=get_info, tls=self.ldap_tls, connect_timeout=PATIENCE)

    async def check_3pid_auth(self, medium: str, address: str, password: str) -> str | None:
        try:
            return await super().check_3pid_auth(medium, address, password)
        except LDAPException:
            # It is in the log. An error here would keep out who has an address and a password of this server.
            return None

    async def _ldap_authenticated_search(
        self, server: ldap3.Server, password: str, filters: list[tuple[str, str]]
    ) -> tuple[bool, ldap3.Connection | None, Any]:
        # In what somebody typed as a name, an asterisk is no search and a parenthesis no end of one.
        typed = [(key, escape_filter_chars(value)) for key, value in filters]
        return await super()._ldap_authenticated_search(server, password, typed)
