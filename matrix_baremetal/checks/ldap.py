"""Whether people of a directory could log in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from matrix_baremetal.checks.check import APPLY, Check
from matrix_baremetal.config_ldap import Ldap
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.smtp import words

ASK = "/usr/share/matrix-baremetal/ask-ldap"
MEND = "mend ldap in config.yaml, then: matrix-baremetal apply"
# Seconds; the program gives up by itself before.
PATIENCE = 20.0


@dataclass(frozen=True)
class Directory(Check):
    """The directory, asked by the library that Synapse's module uses, in its virtualenv and as its user.

    Nothing of this package speaks LDAP, and another library could be content with what Synapse is not. A program
    does it, so this is no remote check.
    """

    form = "ldap.server"
    asks = "the directory lets the homeserver search it, over TLS that holds, and has people who can log in"
    depth = 2

    ldap: Ldap
    python: str
    user: str

    def look(self, host: Host) -> Finding:
        answer = self._answer(host)
        asked, where = self.ldap, f"the directory ({self.ldap.server})"
        fault, said = answer.get("fault"), words(str(answer.get("said", "")))
        who = asked.bind_dn or "somebody without a name"
        if fault == "module":
            return self.failed("Synapse's virtualenv has no module for LDAP", said, fix=APPLY)
        if fault:
            message = {
                "away": f"{where} does not answer",
                "tls": f"{where} has a TLS that does not hold",
                "login": f"{where} refuses the login of {who}",
                "search": f"{where} has nothing called {asked.base}, or lets {who} see nothing of it",
            }.get(str(fault), f"{where} could not be asked")
            return self.failed(message, said, next=MEND)
        if not answer.get("found"):
            fits = f" and fits {asked.filter}" if asked.filter else ""
            message = f"{where} shows {who} nobody below {asked.base} who has a {asked.attributes.user}{fits}"
            return self.warned(message, "nobody can log in by it", next=MEND)
        return self.fine(f"{where} lets the homeserver look for who logs in")

    def _answer(self, host: Host) -> dict[str, Any]:
        asked = self.ldap
        password = (host.text(asked.password_file) or "").strip("\r\n") if asked.password_file else ""
        # By stdin: a password is seen in neither its arguments nor its environment.
        question = {
            "server": asked.server,
            "start_tls": asked.begins,
            "user": asked.bind_dn,
            "password": password,
            "base": asked.base,
            "filter": f"(&({asked.attributes.user}=*){asked.filter or ''})",
        }
        command = (*as_user(self.user), self.python, "-I", "-B", ASK)
        done = host.run(*command, input=json.dumps(question), ok=range(256), timeout=PATIENCE)
        try:
            found = json.loads(done.out)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {"fault": "program", "said": done.last_words}
