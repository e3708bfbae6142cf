"""firewalld, as far as we rely on it: the files of its zones and services, and what is in force.

Written after 1.3.3 of Debian 12 and 2.3.1 of Debian 13.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.etree import ElementTree

from matrix_baremetal.resources.firewalld import UNIT
from matrix_baremetal.shell import Result
from tests.fake_units import Unit
from tests.fakes import Machine

GOOD, UNKNOWN = Result(0, "success\n", ""), Result(101, "", "Error: INVALID_SERVICE: matrix-baremetal")
OFF = Result(252, "", "FirewallD is not running")
ETC, USR = "/etc/firewalld", "/usr/lib/firewalld"
ZONE = "<zone>\n  <short>Public</short>\n  <service name='ssh'/>\n</zone>\n"
SHIPPED = {"ssh": "22/tcp", "http": "80/tcp", "https": "443/tcp"}


@dataclass
class Firewalld:
    """One machine's firewalld; `zones` are the services in force in each, `known` the ports of each, `passing` a port
    that somebody has opened for the moment.
    """

    machine: Machine
    zones: dict[str, set[str]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    passing: str = ""
    reloads: int = 0

    def _file(self, kind: str, name: str) -> str:
        place = next((p for p in (ETC, USR) if self.machine.at(f"{p}/{kind}/{name}.xml").exists()), None)
        assert place, name
        return self.machine.at(f"{place}/{kind}/{name}.xml").read_text()

    def _names(self, kind: str) -> set[str]:
        return {p.stem for place in (ETC, USR) for p in self.machine.at(f"{place}/{kind}").glob("[!.]*.xml")}

    def kept(self, zone: str) -> list[str]:
        """The services that a zone keeps."""
        return [e.get("name", "") for e in ElementTree.fromstring(self._file("zones", zone)).findall("service")]

    def reload(self) -> None:
        """Take up what its files say, as at a start."""
        self.passing = ""
        self.known = {}
        for name in self._names("services"):
            ports = ElementTree.fromstring(self._file("services", name)).findall("port")
            self.known[name] = " ".join(f"{p.get('port')}/{p.get('protocol')}" for p in ports)
        self.zones = {zone: set(self.kept(zone)).intersection(self.known) for zone in self._names("zones")}

    def switch(self, on: bool) -> None:
        """Start or stop it."""
        self.machine.units.setdefault(UNIT, Unit()).active = on
        self.reload()

    def _keep(self, zone: str, name: str, add: bool) -> Result:
        top = ElementTree.fromstring(self._file("zones", zone))
        for each in [e for e in top.findall("service") if e.get("name") == name]:
            top.remove(each)
        if add:
            ElementTree.SubElement(top, "service", name=name)
        self.machine.put(f"{ETC}/zones/{zone}.xml", ElementTree.tostring(top, "unicode") + "\n")
        return GOOD

    def _listed(self, zone: str, permanent: bool) -> str:
        services = self.kept(zone) if permanent else self.zones[zone]
        head = f"{zone}\n" if permanent else f"{zone} (default, active)\n  interfaces: eth0\n"
        ports = "" if permanent else self.passing
        return f"{head}  target: default\n  services: {' '.join(sorted(services))}\n  ports: {ports}\n\n"

    def command(self, words: tuple[str, ...]) -> Result:
        """The program firewall-cmd."""
        if not self.machine.unit(UNIT).active:
            return OFF
        given = dict(re.findall(r"^--([a-z-]+)=(.*)$", "\n".join(words), re.MULTILINE))
        zone, permanent = given.get("zone", "public"), "--permanent" in words
        if name := given.get("info-service"):
            return Result(0, f"{name}\n  ports: {self.known[name]}\n", "") if name in self.known else UNKNOWN
        if name := given.get("query-service"):
            return Result(0, "yes\n", "") if name in self.zones[zone] else Result(1, "no\n", "")
        if "--reload" in words:
            self.reloads += 1
            self.reload()
        elif "--list-all-zones" in words:
            return Result(0, "".join(self._listed(each, permanent) for each in sorted(self.zones)), "")
        elif "--list-all" in words:
            return Result(0, self._listed(zone, permanent), "")
        elif "--get-active-zones" in words:
            return Result(0, "public (default)\n  interfaces: eth0\nworkers\n  interfaces: eth1\n", "")
        elif "--list-all-policies" in words or "--direct" in words:
            return Result(0, "", "")
        else:
            return self._changed(zone, given, permanent)
        return GOOD

    def _changed(self, zone: str, given: dict[str, str], permanent: bool) -> Result:
        add, name = "add-service" in given, given.get("add-service") or given["remove-service"]
        if name not in self.known:
            return UNKNOWN
        if permanent:
            return self._keep(zone, name, add)
        self.zones[zone] = (self.zones[zone] | {name}) if add else self.zones[zone] - {name}
        return GOOD

    def offline(self, words: tuple[str, ...]) -> Result:
        """The program firewall-offline-cmd."""
        zone, (option, name) = words[0].removeprefix("--zone="), words[1].split("=")
        assert option in ("--add-service", "--remove-service-from-zone")
        return self._keep(zone, name, add=option == "--add-service")


def firewalld(machine: Machine, *, on: bool = True) -> Firewalld:
    """Have a firewalld that lets ssh in and nothing else."""
    made = Firewalld(machine)
    machine.put("/usr/bin/firewall-cmd", "")
    machine.put(f"{ETC}/firewalld.conf", "# the default zone\nDefaultZone=public\n")
    machine.at(f"{ETC}/services").mkdir()
    machine.at(f"{ETC}/zones").mkdir()
    for zone in ("public", "work"):
        machine.put(f"{USR}/zones/{zone}.xml", ZONE)
    for name, port in SHIPPED.items():
        number, kind = port.split("/")
        machine.put(f"{USR}/services/{name}.xml", f"<service><port port='{number}' protocol='{kind}'/></service>")
    made.switch(on)
    machine.more |= {"firewall-cmd": made.command, "firewall-offline-cmd": made.offline}
    return made
