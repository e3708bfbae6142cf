"""An identity provider that speaks OpenID Connect: npm's oidc-provider, at an address of its own.

with identity.provider(lab, "sso-13", octet, client, people) as theirs:     # https://sso-13.test
    theirs.issuer
    theirs.stop()
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import network
from .lab import Lab
from .places import CACHE, REPOSITORY, RUN, lock, write_json
from .programs import Process, daemon, wait_for

SOURCE = REPOSITORY / "tests/sso"


@dataclass(frozen=True)
class Identity:
    """The provider, as a test handles it."""

    issuer: str
    server: Process

    def stop(self) -> None:
        """Nobody answers at its address any more."""
        self.server.kill()


def built() -> Path:
    """The directory of the program, with all that it needs; kept for the next run."""
    sources = [path for path in sorted(SOURCE.iterdir()) if path.is_file()]
    home = CACHE / f"sso-{hashlib.sha256(b''.join(path.read_bytes() for path in sources)).hexdigest()[:12]}"
    with lock("sso"):
        if not home.exists():
            draft = home.with_name("sso.new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            for path in sources:
                shutil.copy(path, draft)
            words = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            done = subprocess.run(words, cwd=draft, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            draft.replace(home)
    return home


@contextlib.contextmanager
def provider(
    lab: Lab, host: str, octet: int, client: Mapping[str, Any], people: Mapping[str, Any]
) -> Iterator[Identity]:
    """The provider, as HOST.test, for one client, as its standard's registration has it, and people with claims."""
    domain, home, program = f"{host}.test", RUN / "identity" / host, built()
    with lock(f"guest-{host}"):
        shutil.rmtree(home, ignore_errors=True)
        network.unplug(host)
        space = network.plug(host, octet)
        lab.dns.set(domain, a=[network.ip4(octet)])
        certificate, key = map(str, lab.certificate(domain))
        said = {"issuer": f"https://{domain}", "address": network.ip4(octet), "certificate": certificate, "key": key}
        write_json(home / "settings.json", {**said, "client": client, "people": people})
        words = ("nsenter", f"--net={space}", "--", "node", str(program / "provider.js"), str(home))
        server = daemon(words, home / "log")
        try:
            wait_for((home / "ready").exists, "the identity provider", 20, f"see {home}/log")
            yield Identity(f"https://{domain}", server)
        finally:
            server.kill()
            network.unplug(host)
            lab.dns.reset(domain)
