"""Element Call as a page of its own: people with an account here join the call of a room by a link, in a browser.

Element Call's docs/self_hosting.md and config/config.sample.json. Its own links can name another homeserver
(`homeserver=…`, its docs/url_params.md), to which it would send a password: the page's policy lets a browser ask
this homeserver and the servers for group calls that are known, and nobody else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from matrix_baremetal.checks import pages
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import STATE, Component
from matrix_baremetal.components.delegation import JWT
from matrix_baremetal.components.programs import OPT
from matrix_baremetal.needs import Domain, Files, Need, Needs, VHost
from matrix_baremetal.resources.downloads import FILES, Download
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.resource import Resource

ROOT, NAME = f"{STATE}/call-page", "element-call"
SETTINGS = "/config.json"
# Built by Vite, which puts a hash into all that it puts there.
HASHED = "^/assets/"
# Two scripts stand in the page itself; encryption is WebAssembly, and that of sound and picture a worker from memory.
POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' blob: data:; media-src 'self' blob: data:; worker-src 'self' blob:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; connect-src 'self' blob: data:"
)


class CallPage(Component):
    """The page's files, its settings, and the name that it answers to."""

    @property
    def hostname(self) -> str:
        """Where it is."""
        return self.config.page_hostname or ""

    def wanted(self) -> bool:
        return self.config.page_hostname is not None

    def needs(self) -> Iterator[Need]:
        yield Domain(self.hostname)
        settings = ((SETTINGS, f"{ROOT}/config.json"),)
        files = f"{OPT}/{NAME}/current/{FILES}"
        # Its rooms are paths that no file stands for.
        yield VHost(self.hostname, (Files(files, settings, HASHED, self._policy(), otherwise="/index.html"),))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        page = self.config.calls.page
        if page and (release := page.release):
            place, shelf = f"{OPT}/{NAME}", self.site.wheelhouse
            yield Download(place, release.sha256[:12], release.sha256, url=release.url, shelf=shelf)
        yield Directory(ROOT, 0o755)
        yield File(f"{ROOT}/config.json", self._settings())

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield pages.Program(self.hostname, path=SETTINGS, settings=self._settings())

    def _policy(self) -> str:
        """With whom a browser lets the page speak: those that carry calls are asked by HTTPS, then by a WebSocket."""
        others = self.config.calls.page.others if self.config.calls.page else ()
        carriers = dict.fromkeys((self.config.calls_hostname or "", *others))
        asked = [f"https://{self.config.hostname}", *(f"{way}://{n}" for n in carriers for way in ("https", "wss"))]
        return " ".join((POLICY, *asked))

    def _settings(self) -> str:
        """For this homeserver, without anybody's statistics, bug reports or crash reports: none are sent unasked.

        The numbers are those of upstream's sample: who is gone without a word is out of the call in 18 seconds.
        """
        config = self.config
        homeserver = {"base_url": f"https://{config.hostname}", "server_name": config.server_name}
        made = {
            "default_server_config": {"m.homeserver": homeserver},
            "livekit": {"livekit_service_url": f"https://{config.calls_hostname}{JWT}"},
            "matrix_rtc_mode": "compatibility",
            "matrix_rtc_session": {
                "wait_for_key_rotation_ms": 3000,
                "membership_event_expiry_ms": 180000000,
                "delayed_leave_event_delay_ms": 18000,
                "delayed_leave_event_restart_ms": 4000,
                "network_error_retry_ms": 100,
            },
        }
        return json.dumps(made, indent=1) + "\n"
