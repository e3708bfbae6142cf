"""ufw, as far as we rely on it: the rules that it keeps, and those that the kernel has of them.

Written after ufw 0.36.2 of Debian 12 and 13.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from matrix_baremetal.shell import Result
from tests.fakes import Machine

GOOD = Result(0, "", "")
PROFILES = "/etc/ufw/applications.d"
FILES = {"iptables": "/etc/ufw/user.rules", "ip6tables": "/etc/ufw/user6.rules"}
CHAINS = {"iptables": "ufw-user-input", "ip6tables": "ufw6-user-input"}
SSH = "### tuple ### limit tcp 22 {all} any {all} in comment=782079\n-A ufw-user-input -p tcp --dport 22 -j ACCEPT\n"
EVERYBODY = {"iptables": "0.0.0.0/0", "ip6tables": "::/0"}


@dataclass
class Ufw:
    """One machine's ufw; `loaded` are the rules in the kernel, by the program that shows them."""

    machine: Machine
    loaded: dict[str, str] = field(default_factory=dict)

    def switch(self, on: bool) -> None:
        """Switch it on or off."""
        self.machine.put("/etc/ufw/ufw.conf", f"ENABLED={'yes' if on else 'no'}\nLOGLEVEL=low\n")
        self.loaded.clear()
        if on:
            self._reload()

    def flush(self) -> None:
        """Take ours out of the kernel behind its back."""
        self.loaded["iptables"] = ""

    def rules(self, program: str = "iptables") -> str:
        """What it keeps."""
        return self.machine.at(FILES[program]).read_text()

    def add(self, rule: str) -> None:
        """Keep a rule more, as of `### tuple ###`."""
        self._keep("iptables", self.rules() + f"### tuple ### {rule}\n")

    def _keep(self, program: str, text: str) -> None:
        self.machine.put(FILES[program], text, 0o640)

    def _reload(self) -> None:
        if "ENABLED=yes" in self.machine.at("/etc/ufw/ufw.conf").read_text():
            self.loaded = {
                name: "".join(row.replace("ufw-user", CHAINS[name][:-6]) + "\n" for row in rows(self.rules(name)))
                for name in FILES
            }

    def ufw(self, words: tuple[str, ...]) -> Result:
        """The program."""
        name = words[-1]
        for program in FILES:
            there = f" {name} - in" in self.rules(program)
            if words[:2] == ("delete", "allow") or (words[:2] == ("app", "update") and there):
                kept = re.split(r"(?=^### tuple)", self.rules(program), flags=re.MULTILINE)
                self._keep(program, "".join(rule for rule in kept if f" {name} - in" not in rule))
            if (words[0] == "allow" and not there) or (words[:2] == ("app", "update") and there):
                self._keep(program, self.rules(program) + self._made(program, name))
        # One that is there already is skipped, whatever the kernel has.
        if words[0] != "allow" or not there:
            self._reload()
        return GOOD

    def _made(self, program: str, name: str) -> str:
        text = self.machine.at(f"{PROFILES}/{name}").read_text()
        found = re.search(r"^ports=(.*)$", text, re.MULTILINE)
        assert found, text
        everybody = EVERYBODY[program]
        return "".join(
            f"### tuple ### allow {kind} {ports} {everybody} any {everybody} {name} - in\n"
            f"-A ufw-user-input -p {kind} -m multiport --dports {ports} "
            f"-m comment --comment \"\\'dapp_{name}\\'\" -j ACCEPT\n"
            for ports, kind in (each.split("/") for each in found[1].split("|"))
        )

    def tables(self, program: str, words: tuple[str, ...]) -> Result:
        """The program iptables, or ip6tables."""
        assert words == ("-S", CHAINS[program])
        if program not in self.loaded:
            return Result(1, "", f"{program}: No chain/target/match by that name.")
        return Result(0, f"-N {CHAINS[program]}\n{self.loaded[program]}", "")


def rows(text: str) -> list[str]:
    """The rules of a file as the kernel takes them."""
    return [line for line in text.splitlines() if line.startswith("-A ")]


def ufw(machine: Machine, *, on: bool = True) -> Ufw:
    """Have a ufw that lets ssh in and nothing else."""
    made = Ufw(machine)
    machine.put("/usr/sbin/ufw", "")
    machine.put("/etc/default/ufw", 'IPV6=yes\nDEFAULT_INPUT_POLICY="DROP"\nDEFAULT_OUTPUT_POLICY="ACCEPT"\n')
    machine.put("/proc/sys/net/ipv6/x", "")
    machine.at(PROFILES).mkdir(parents=True)
    for program, file in FILES.items():
        machine.put(file, SSH.format(all=EVERYBODY[program]), 0o640)
    made.switch(on)
    machine.more |= {
        "ufw": made.ufw,
        "iptables": lambda words: made.tables("iptables", words),
        "ip6tables": lambda words: made.tables("ip6tables", words),
    }
    return made
