"""What the pretend internet's release servers have: archives of tests, at the addresses that the product asks for."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .places import RUN, lock, read_json, write_json

# Where upstreams publish: their own names, so that what is pinned works here unchanged.
HOSTS = ("github.com", "release-assets.githubusercontent.com", "packages.element.io", "mirror.test")
HOME = RUN / "mirror"
LOG = RUN / "infra/mirror.log"
_RULES = HOME / "rules.json"


class Mirror:
    """The release servers, as a test fills them."""

    def put(self, url: str, data: bytes) -> None:
        """There is a file at this address from now on."""
        host, _, path = url.removeprefix("https://").partition("/")
        assert host in HOSTS, f"the lab plays no {host}"
        place = HOME / host / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def remove(self, url: str) -> None:
        """There is none at this address any more."""
        (HOME / url.removeprefix("https://")).unlink(missing_ok=True)

    def rule(self, url: str, **rule: str | int) -> None:
        """An address leads elsewhere (`redirect`), is refused (`status`), breaks off (`most`); nothing: no more."""
        with lock("mirror"):
            rules: Mapping[str, object] = read_json(_RULES) or {}
            kept = {known: value for known, value in rules.items() if known != url}
            write_json(_RULES, kept | ({url: rule} if rule else {}))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else on this machine fills it meanwhile, and it is empty afterwards."""
        with lock("mirror-alone"):
            try:
                yield
            finally:
                self.forget()

    def forget(self) -> None:
        """All of it goes."""
        with lock("mirror"):
            shutil.rmtree(HOME, ignore_errors=True)

    def asked(self, *addresses: str) -> list[str]:
        """What a client asked for since the lab began: host, part and path of each request."""
        rows = [line.split() for line in LOG.read_text().splitlines()]
        return [f"{row[1]} {row[2]} {row[4]}" for row in rows if row[0] in addresses and len(row) > 4]
