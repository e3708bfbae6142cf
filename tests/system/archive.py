"""An apt repository of our package on the pretend internet, signed with a key made for it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import Guest, Lab
from tests.lab.network import ip4, namespace

REPOSITORY = Path(__file__).parents[2]
# Serves a folder by TLS until its stdin ends, so not longer than we live: folder, address, certificate, key.
SERVER = """
import http.server, ssl, sys, threading
quiet = {"log_message": lambda *words: None, "protocol_version": "HTTP/1.1"}
handler = type("Handler", (http.server.SimpleHTTPRequestHandler,), quiet)
serve = lambda *words: handler(*words, directory=sys.argv[1])
server = http.server.ThreadingHTTPServer((sys.argv[2], 443), serve)
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(*sys.argv[3:5])
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("serving", flush=True)
sys.stdin.read()
"""


def key(place: Path) -> Path:
    """A secret key that signs, without a passphrase."""
    home = place / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--quiet", "--batch", "--homedir", str(home)]
    try:
        words = ["--passphrase", "", "--quick-generate-key", "archive@example.org", "ed25519", "sign", "never"]
        subprocess.run([*gpg, *words], check=True, capture_output=True)
        exported = subprocess.run([*gpg, "--armor", "--export-secret-keys"], check=True, capture_output=True).stdout
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)
    file = place / "secret.asc"
    file.write_bytes(exported)
    return file


def older(deb: Path, place: Path) -> Path:
    """The same package as an earlier release, which is all of it that there is so far."""
    tree, made = place / "older", place / "older.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*", "Version: 0.0.9", control.read_text(), flags=re.MULTILINE))
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, made], check=True, capture_output=True)
    return made


class Archive:
    """A repository in a folder, as a provider has it."""

    def __init__(self, place: Path, guest: Guest, octet: int) -> None:
        self.name = f"apt.{guest.domain}"
        self.folder, self.secret = place / "archive", key(place)
        # Each test has an address of its own, as they may run side by side.
        self.address = ip4(octet)

    def add(self, deb: Path) -> None:
        """Make the repository, or put one more package into it, by `bin/apt-repo`."""
        where = ("--key", self.secret, "--url", f"https://{self.name}", "--deb", deb)
        words = [str(word) for word in (REPOSITORY / "bin/apt-repo", self.folder, *where)]
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{self.folder}\n"

    @contextmanager
    def served(self, lab: Lab) -> Iterator[None]:
        """Serve it as the web server of a provider would."""
        space = namespace("client").name
        certificate, secret = lab.certificate(self.name)
        words = [sys.executable, "-c", SERVER, str(self.folder), self.address, str(certificate), str(secret)]
        argv = lab.client_argv(words)
        address = ("ip", "-n", space, "address")
        subprocess.run([*address, "replace", f"{self.address}/24", "dev", "host0"], check=True)
        server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        try:
            assert server.stdout and server.stdout.readline() == "serving\n"
            lab.dns.set(self.name, a=[self.address])
            yield
        finally:
            server.kill()
            server.wait()
            lab.dns.reset(self.name)
            subprocess.run([*address, "delete", f"{self.address}/24", "dev", "host0"], check=False)
