"""Runs in a guest as root (its Python, its stdin): looks for what must never be there, prints findings as JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

MANIFEST = Path("/var/lib/matrix-baremetal/manifest.json")
SECRETS = Path("/etc/matrix-baremetal/secrets")
PLACES = ("/etc", "/var/lib", "/var/log", "/var/tmp", "/tmp", "/run", "/srv", "/home", "/root", "/opt", "/usr/local")
LEFTOVERS = (
    "*.matrix-baremetal-new",
    ".*.before",
    ".*.building",
    ".*.building.cache",
    ".*.old",
    ".*.part",
    "self-signed.new",
)


def secrets() -> set[str]:
    """Every secret text of this machine; of the signing key the part that is secret, of private keys one line."""
    files = [path for path in SECRETS.rglob("*") if path.is_file()]
    found = {path.read_text().strip() for path in files if path.parent.name != "imports"}
    for path in files:
        if path.parent.name == "imports":
            found |= {line.rpartition(",")[2] for line in path.read_text().splitlines()[1:]}
    key = Path("/var/lib/matrix-synapse/signing.key")
    if key.exists():
        found.add(key.read_text().split()[-1])
    for path in [
        *Path("/etc/matrix-baremetal/tls").rglob("privkey.pem"),
        *Path("/etc/letsencrypt").rglob("privkey*"),
    ]:
        found.add(path.read_text().splitlines()[1])
    return {text for text in found if len(text) >= 8}


def run(*argv: str, patterns: set[str] | None = None) -> str:
    stdin = "\n".join(sorted(patterns)) + "\n" if patterns else ""
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, errors="replace", check=False).stdout


def leaks() -> Iterator[str]:
    """Secrets where others than root and their owner can read them."""
    known = secrets()
    journal = run("journalctl", "--no-pager", "--quiet", "-o", "export")
    yield from (f"in the journal: {text[:4]}…" for text in known if text in journal)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().decode(errors="replace")
            variables = (process / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        yield from (f"in words of process {process.name}: {words!r}" for text in known if text in words + variables)
    # Not even root's own logs hold one; and no other user may read one anywhere.
    logs = run("grep", "-rslFf", "-", "/var/log", patterns=known)
    readable = run("runuser", "-u", "nobody", "--", "grep", "-rIslFf", "-", "-D", "skip", *PLACES, patterns=known)
    yield from (f"in a file: {path}" for path in (logs + readable).split())


def broken() -> Iterator[str]:
    """Managed files that are half, empty or no longer what they should be, and what a kill must not leave."""
    try:
        entries = json.loads(MANIFEST.read_text())["resources"]
    except (OSError, ValueError, KeyError) as error:
        yield f"the manifest: {error}"
        return
    for entry in entries:
        path = Path(entry["name"])
        if entry["kind"] in ("File", "TestedFile", "HomeserverConfig", "Secret", "Link"):
            if not path.exists() or path.stat().st_size == 0:
                yield f"{path} is missing or empty"
            else:
                yield from unparsable(path)
    if subprocess.run(["nginx", "-t", "-q"], capture_output=True, check=False).returncode:
        yield "nginx -t fails"
    waits = "SELECT FROM pg_settings s WHERE s.name = f.name AND s.pending_restart"
    wrong = f"SELECT count(*) FROM pg_file_settings f WHERE error IS NOT NULL AND NOT EXISTS ({waits});"
    clusters = run("pg_lsclusters", "-h").splitlines() if shutil.which("pg_lsclusters") else ()
    for port in (row.split()[2] for row in clusters if "online" in row):
        if run("runuser", "-u", "postgres", "--", "psql", "-p", port, "-XAtqc", wrong).strip() != "0":
            yield f"Postgres on port {port} has settings that it can't take"
    for top in ("/etc", "/opt/matrix-baremetal", "/var/lib/matrix-baremetal", "/var/lib/matrix-synapse"):
        for pattern in LEFTOVERS:
            depth = "*/" if top == "/etc" else ""
            yield from (f"left behind: {path}" for path in {*Path(top).glob(depth + pattern)})
            yield from (f"left behind: {path}" for path in Path(top).glob(f"{depth}*/{pattern}"))


def unparsable(path: Path) -> Iterator[str]:
    try:
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            yaml.safe_load(path.read_text())
    except (ValueError, yaml.YAMLError) as error:
        yield f"{path}: {error}"


def modes() -> Iterator[str]:
    """Secrets that others may read, and parts of the virtualenv that the service could write."""
    for path in [SECRETS, *SECRETS.rglob("*"), Path("/var/lib/matrix-synapse/signing.key")]:
        if path.exists():
            found = path.stat()
            if found.st_uid or found.st_gid or found.st_mode & 0o077:
                yield f"{path}: {found.st_mode:o}, owner {found.st_uid}:{found.st_gid}"
    for path in [*Path("/etc/matrix-baremetal/tls").rglob("privkey.pem")]:
        if not os.path.realpath(path).startswith("/etc/letsencrypt/") and path.parent.stat().st_mode & 0o077:
            yield f"{path.parent} is open to others"
    writable = run(
        *("runuser", "-u", "matrix-synapse", "--", "find", "/opt/matrix-baremetal", "/usr/lib/matrix-baremetal"),
        *("!", "-type", "l", "-writable"),
    )
    yield from (f"writable by the service: {path}" for path in writable.split())


def passwords_in_configs() -> Iterator[str]:
    """There is no database password anywhere."""
    for path in Path("/etc/matrix-synapse").rglob("*.yaml"):
        if re.search(r"^\s*password:", path.read_text(), re.MULTILINE):
            yield f"a password in {path}"


findings = [*leaks(), *broken(), *modes(), *passwords_in_configs()]
print(json.dumps(findings))
