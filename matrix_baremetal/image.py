"""What an image must not hold: whoever starts a machine from it would share a key or a name with all the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix_baremetal.host import Host

KEY = b"PRIVATE KEY-----"
# Where people and programs put keys of their own; what packages ship below /usr is the same for everybody anyway.
PLACES = ("etc", "root", "home", "srv", "usr/local", "opt", "var/lib")
# Pinned byte by byte: Twisted's own tests have keys in there.
PINNED = "opt/matrix-baremetal/synapse"
# Debian's self-signed pair, without which its Postgres does not start; nothing that we make trusts or serves it.
DEBIANS = "etc/ssl/private/ssl-cert-snakeoil.key"
# Bytes: no key is longer.
LONGEST = 100_000
# Postgres gives its own databases smaller numbers (FirstNormalObjectId).
FIRST = 16384


@dataclass(frozen=True)
class Left:
    """What was left in an image: one kind of thing, the `paths` of all that there is of it, and how it goes."""

    what: str
    paths: tuple[str, ...]
    next: str


RM = "rm -r"
# What is looked for: glob patterns, what it is, and the words before the paths that take it away.
KINDS = (
    (("etc/matrix-baremetal/config.yaml",), "the config, with the server's name", RM),
    (("etc/matrix-baremetal/secrets/**/*",), "secrets of a homeserver", RM),
    (("etc/matrix-baremetal/tls/**/*",), "certificates and their keys", RM),
    (("etc/matrix-synapse/*.yaml", "etc/matrix-synapse/conf.d/*"), "a homeserver's config", RM),
    (("var/lib/matrix-synapse/**/*",), "a homeserver's signing key, media or database", RM),
    (("var/lib/matrix-baremetal/**/*",), "notes, copies and backups of a homeserver", RM),
    (
        ("var/lib/matrix-bridge-*/**/*", "var/lib/matrix-xmpp-gateway/**/*", "var/lib/matrix-ddns/**/*"),
        "what bridges and others beside a homeserver know",
        RM,
    ),
    (
        tuple(f"etc/matrix-{part}/**/*" for part in ("calls", "ddns", "jitsi", "metrics", "turn", "xmpp")),
        "the config of what is beside a homeserver, passwords too",
        RM,
    ),
    (
        ("etc/letsencrypt/accounts/**/*", "etc/letsencrypt/archive/**/*", "var/log/letsencrypt/*"),
        "certbot's account, keys and log",
        RM,
    ),
    (("etc/ssh/ssh_host_*_key",), "keys by which ssh knows this machine", RM),
    (("root/.ssh/*", "home/*/.ssh/*"), "somebody's ssh keys, or who may log in", RM),
    (("root/.*_history", "home/*/.*_history"), "what somebody typed", RM),
    (
        ("var/lib/cloud/instances/*",),
        "what cloud-init was told, user data included",
        "cloud-init clean --logs --machine-id",
    ),
    (("var/lib/systemd/random-seed", "var/lib/systemd/credential.secret"), "randomness and a key of systemd", RM),
)


def left(host: Host) -> Iterator[Left]:
    """All that makes machines from this image alike where they must differ. Looks at files alone, so at a mounted
    image as well.
    """
    known: set[str] = set()
    for patterns, what, way in KINDS:
        paths = tuple(sorted({path for pattern in patterns for path in files(host, pattern)}))
        known |= set(paths)
        if paths:
            yield Left(what, paths, f"{way} {' '.join(paths[:3])}{' …' if paths[3:] else ''}" if way == RM else way)
    yield from identity(host)
    yield from databases(host)
    if keys := tuple(path for path in private_keys(host) if path not in known):
        yield Left("private keys", keys, f"{RM} {' '.join(keys[:3])}{' …' if keys[3:] else ''}")


def files(host: Host, pattern: str) -> Iterator[str]:
    """The paths of a pattern, as the image's machine will have them; directories are nothing by themselves."""
    whole = pattern.endswith("instances/*")
    for path in host.root.glob(pattern):
        if path.is_symlink() or path.is_file() or (whole and path.is_dir()):
            yield f"/{path.relative_to(host.root)}"


def identity(host: Host) -> Iterator[Left]:
    """systemd makes a new machine-id where there is an empty file (machine-id(5))."""
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        node = host.node(path)
        if node and node.kind == "file" and (host.text(path) or "").strip() not in ("", "uninitialized"):
            yield Left("the machine's identity", (path,), f"truncate -s 0 {path}")


def databases(host: Host) -> Iterator[Left]:
    """Databases that somebody made in a cluster of Debian's, by the directories that hold them."""
    found = (path for path in host.root.glob("var/lib/postgresql/*/*/base/*") if path.name.isdigit())
    paths = tuple(sorted(f"/{p.relative_to(host.root)}" for p in found if int(p.name) >= FIRST))
    if paths:
        yield Left("databases in Postgres", paths, "sudo -u postgres psql -l, and drop them: dropdb NAME")


def private_keys(host: Host) -> Iterator[str]:
    """Files with a private key in PEM, wherever somebody may have put one."""
    for place in PLACES:
        for path in sorted(host.root.joinpath(place).rglob("*")):
            name = str(path.relative_to(host.root))
            if (
                name != DEBIANS
                and not name.startswith(PINNED)
                and not path.is_symlink()
                and path.is_file()
                and holds_key(path)
            ):
                yield f"/{name}"


def holds_key(path: Path) -> bool:
    """Whether a file is a key, and not a program or a test that has such a line somewhere in it."""
    if path.suffix in (".py", ".pyc", ".so") or not 0 < path.stat().st_size < LONGEST:
        return False
    lines = path.read_bytes().splitlines()
    return any(line.startswith(b"-----BEGIN ") and line.rstrip().endswith(KEY) for line in lines)
