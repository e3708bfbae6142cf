"""Commands on a homeserver that is as its config says: apply, plan, --help, and an Ansible playbook beside apply."""

from __future__ import annotations

import json
import re
from pathlib import Path

from benchmarks.guests import Measured, install, machine, measured
from benchmarks.measure import ratios, spread, table
from tests.lab import Guest, Lab

COMMANDS = {
    "second `apply`": ("matrix-baremetal", "apply"),
    "`plan`": ("matrix-baremetal", "plan"),
    "`--help`": ("matrix-baremetal", "--help"),
    "`python3 -c pass`": ("python3", "-c", "pass"),
}
ANSIBLE_INSTALL = "python3 -m venv /root/ansible && /root/ansible/bin/pip -q install ansible-core"
PLAYBOOK = "/root/playbook.json"
ANSIBLE = ("/root/ansible/bin/ansible-playbook", "-i", "localhost,", "-c", "local", PLAYBOOK)


def run(lab: Lab, debian: int, deb: Path, rounds: int) -> str:
    """All commands in turn, again and again, on one machine."""
    with machine(lab, debian, deb) as guest:
        install(guest)
        guest.run(f"apt-get install -q -y strace && {ANSIBLE_INSTALL}", timeout=900)
        tasks = playbook(guest)
        commands = {**COMMANDS, f"an Ansible playbook of {tasks} tasks, nothing to do": ANSIBLE}
        for words in commands.values():
            measured(guest, *words)
        took: dict[str, list[Measured]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, words in commands.items():
                took[name].append(measured(guest, *words))
        started = {name: programs(guest, words) for name, words in commands.items()}
    assert all(each.status == 0 for runs in took.values() for each in runs)
    rows = [
        (
            name,
            spread([each.wall for each in runs], digits=2),
            spread([each.cpu for each in runs], digits=2),
            f"{max(each.peak for each in runs):.0f} MB",
            str(started[name]),
        )
        for name, runs in took.items()
    ]
    walls = [[each.wall for each in runs] for runs in took.values()]
    rows.append(("Ansible ÷ `apply`", spread(ratios(walls[-1], walls[0]), "×"), "", "", ""))
    return table((f"Debian {debian}", "by the clock", "of processor", "largest process", "programs"), rows)


def programs(guest: Guest, words: tuple[str, ...]) -> int:
    """How many programs a command starts, itself and those that they start included."""
    guest.run(["strace", "-f", "-qq", "-e", "trace=execve", "-o", "/root/trace", *words])
    return len(re.findall(r"execve\(.*\) = 0$", guest.read("/root/trace"), re.MULTILINE))


def playbook(guest: Guest) -> int:
    """Write a playbook that looks after what our manifest lists, a task each; how many tasks that is.

    What Ansible's own modules can't look at is a command that asks the same question as we do.
    """
    entries = json.loads(guest.read("/var/lib/matrix-baremetal/manifest.json"))["resources"]
    tasks = [task(guest, entry["kind"], entry["name"]) for entry in entries]
    play = [{"hosts": "all", "gather_facts": True, "tasks": tasks}]
    guest.write(PLAYBOOK, json.dumps(play))
    return len(tasks)


def task(guest: Guest, kind: str, name: str) -> dict[str, object]:
    """One thing in Ansible's words."""
    if kind == "Directory":
        return {"ansible.builtin.file": {"path": name, "state": "directory"}}
    if kind in ("File", "TestedFile", "HomeserverConfig", "Secret"):
        return {"ansible.builtin.copy": {"dest": name, "content": guest.read(name)}}
    if kind in ("Link", "Served"):
        return {
            "ansible.builtin.file": {
                "path": name,
                "src": guest.run(["readlink", name]).stdout.strip(),
                "state": "link",
            }
        }
    if kind == "Service":
        return {"ansible.builtin.systemd_service": {"name": name, "state": "started"}}
    if kind == "SystemUser":
        return {"ansible.builtin.user": {"name": name, "system": True, "create_home": False}}
    if kind == "Packages":
        return {"ansible.builtin.command": "dpkg-query -W nginx", "changed_when": False}
    if kind in ("Role", "Database", "Schema", "Account"):
        return {"ansible.builtin.command": "runuser -u postgres -- psql -XAtqc 'SELECT 1'", "changed_when": False}
    if kind == "Homeserver":
        return {"ansible.builtin.uri": {"url": "http://127.0.0.1:8008/health", "return_content": True}}
    return {"ansible.builtin.stat": {"path": name if name.startswith("/") else "/etc/letsencrypt/live"}}
