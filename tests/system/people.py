"""People who talk while something goes wrong, and what was theirs on the machine before us."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tests.lab import client
from tests.matrix import Person
from tests.system.site import Site

SCRIPT = Path(__file__).parent / "talk.py"
# Nobody is asked to wait, however often somebody logs in and however much is said.
UNLIMITED = {
    "rc_message": {"per_second": 10000, "burst_count": 10000},
    "rc_login": {limit: {"per_second": 10000, "burst_count": 10000} for limit in ("address", "account")},
}


@dataclass
class Talk:
    """What alice says to bob; once it is over, what the server said that it has, by event, and how much it didn't."""

    room: str
    alice: Person
    bob: Person
    acknowledged: dict[str, str] = field(default_factory=dict)
    failed: int = 0

    @classmethod
    def of(cls, site: Site) -> Talk:
        """Both log in once, for all that comes: they stay logged in whatever happens."""
        alice, bob = site.login("alice"), site.login("bob")
        room = alice.create_room("While it lasts", invite=[bob.user])
        bob.join(room)
        return cls(room, alice, bob)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Alice talks without pause."""
        with tempfile.TemporaryDirectory() as place:
            end = Path(place, "end")
            words = ["python3", str(SCRIPT), self.alice.homeserver, self.room, str(end)]
            argv = self.alice.web.asker.client_argv(words)  # type: ignore[attr-defined]
            pipe = subprocess.PIPE
            talking = subprocess.Popen(argv, env=client.environment(), stdin=pipe, stdout=pipe, text=True)
            assert talking.stdin
            talking.stdin.write(f"{self.alice.token}\n")
            talking.stdin.flush()
            try:
                yield
            finally:
                end.touch()
                said, _ = talking.communicate(timeout=60)
                heard = json.loads(said)
                self.acknowledged |= heard["acknowledged"]
                self.failed += heard["failed"]

    def kept(self) -> None:
        """Bob reads every message that the server said it has, each once and in full; it was more than a few."""
        assert len(self.acknowledged) > 5, f"only {len(self.acknowledged)} were acknowledged, {self.failed} not"
        found: dict[str, str] = {}
        query: dict[str, str | int] = {"dir": "b", "limit": 1000}
        while True:
            page = self.bob.ask("GET", f"rooms/{quote(self.room)}/messages", query=query)
            texts = [event for event in page["chunk"] if event["type"] == "m.room.message"]
            found |= {event["event_id"]: event["content"].get("body", "") for event in texts}
            if not page.get("end"):
                break
            query["from"] = page["end"]
        lost = {id: text for id, text in self.acknowledged.items() if found.get(id) != text}
        assert not lost, (
            f"{len(lost)} of {len(self.acknowledged)} acknowledged messages are lost: {[*lost.values()][:3]}"
        )
