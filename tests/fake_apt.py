"""apt and dpkg, as far as we rely on them: what is installed, what would be, and what a package brings with it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from matrix_baremetal.shell import Result
from tests.fake_certificates import GOOD, FakeCertificates
from tests.fake_units import Unit

STATUS = "/var/lib/dpkg/status"
PROGRAMS = {
    "coturn": ("/usr/bin/turnserver",),
    "bitlbee": ("/usr/sbin/bitlbee",),
    "prometheus-node-exporter": ("/usr/bin/prometheus-node-exporter",),
    "prometheus-nginx-exporter": ("/usr/bin/prometheus-nginx-exporter",),
    "prometheus-postgres-exporter": ("/usr/bin/prometheus-postgres-exporter",),
    "jitsi-meet-prosody": ("/usr/share/jitsi-meet/prosody-plugins/mod_token_verification.lua",),
    "jicofo": ("/usr/share/jicofo/jicofo.jar",),
    "jitsi-videobridge2": ("/usr/share/jitsi-videobridge/jitsi-videobridge.jar",),
}


class FakeApt(FakeCertificates):
    """The two programs, on the files that `at` finds."""

    release: int
    units: dict[str, Unit]
    candidates: dict[str, str]
    offered: tuple[str, ...]

    def install(self, package: str) -> None:
        """Install a Debian package, with what of it matters to us."""
        place = self.at(STATUS)
        version = {"nginx": {12: "1.22.1-9+deb12u11", 13: "1.26.3-3"}[self.release]}.get(package, "1.0-1")
        old = place.read_text() if place.exists() else ""
        place.write_text(f"{old}Package: {package}\nStatus: install ok installed\nVersion: {version}\n\n")
        for program in PROGRAMS.get(package, ()):
            self.at(program).parent.mkdir(parents=True, exist_ok=True)
            self.at(program).touch()
            # A while ago, as of `_unit_of`.
            os.utime(self.at(program), (time.time() - 9,) * 2)
        if package == "nginx":
            for directory in ("conf.d", "sites-enabled"):
                self.at(f"/etc/nginx/{directory}").mkdir(parents=True, exist_ok=True)
            self.at("/usr/sbin/nginx").touch()
            self._unit_of("nginx.service")
        elif package == "postgresql":
            major = {12: "15", 13: "17"}[self.release]
            self.at(f"/etc/postgresql/{major}/main/conf.d").mkdir(parents=True)
            self.at(f"/usr/lib/postgresql/{major}/bin").mkdir(parents=True)
            self.at(f"/etc/postgresql/{major}/main/postgresql.conf").write_text("port = 5432\n")
            self._unit_of(f"postgresql@{major}-main.service")
        elif package == "certbot":
            self._unit_of("certbot.timer")
        elif package in ("coturn", "prosody", "jitsi-videobridge2"):
            self._unit_of(f"{package}.service")
            masked = self.at(f"/etc/systemd/system/{package}.service").is_symlink()
            self.units[f"{package}.service"].active = not masked

    def _remove(self, place: Path) -> None:
        """Remove a file, and the directories that hold nothing else."""
        place.unlink(missing_ok=True)
        while place.parent != self.at("/usr") and not any(place.parent.iterdir()):
            place = place.parent
            place.rmdir()

    def _unit_of(self, name: str) -> None:
        self.units[name] = Unit(enabled=True)
        self.units[name].start()
        # A while ago: the kernel's stamps of files are coarser than its clock, and lag behind it.
        self.units[name].began -= 1

    def apt_get(self, words: tuple[str, ...]) -> Result:
        """apt-get install, purge and update."""
        names = [name for name in words[1:] if not name.startswith("-") and "::" not in name]
        if "--simulate" in words:
            return Result(0, "".join(f"Inst {name} (1.0-1 Debian:12)\n" for name in names), "")
        if words[0] == "install":
            for name in names:
                self.install(name)
        elif words[0] == "purge":
            whole = self.at(STATUS).read_text().split("\n\n")
            gone = {f"Package: {name}" for name in names}
            for program in (each for name in names for each in PROGRAMS.get(name, ())):
                self._remove(self.at(program))
            self.at(STATUS).write_text("\n\n".join(text for text in whole if text.split("\n")[0] not in gone))
        return GOOD

    def apt_cache(self, words: tuple[str, ...]) -> Result:
        """apt-cache search of certbot's plugins, and policy."""
        if words[0] == "policy":
            row = "{0}:\n  Installed: (none)\n  Candidate: {1}\n"
            return Result(0, "".join(row.format(n, self.candidates.get(n, "1.0-1")) for n in words[1:]), "")
        return Result(0, "".join(f"python3-certbot-dns-{n} - {n} plugin for Certbot\n" for n in self.offered), "")
