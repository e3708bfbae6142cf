"""One HTTP request, looked at closely: to an address of our choice, with the certificate that was served.

A certificate that doesn't hold is a finding and no end: why is said, and the answer is fetched all the same, as it is
only looked at. Everything has a time limit. Light until something is asked: the checks are made of it at each start.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

if TYPE_CHECKING:
    import socket
    import ssl

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class Request:
    """`url` says what is asked for; `to` (an address and a port) who is asked, where it isn't whom the name leads to.

    With `upload` a body of so many bytes is announced, and never sent (RFC 9110 §10.1.1, Expect: 100-continue): the
    answer is 100 where the server would take it. `offer` are the protocols to choose from (ALPN); where another than
    HTTP/1.1 is chosen the answer ends there, with status 0. `xml` is sent as the body, or the fields of a `form`. A
    `login` (name and password) goes along, and to nobody whose certificate does not hold.
    """

    url: str
    to: tuple[str, int] | None = None
    method: str = "GET"
    upload: int | None = None
    offer: tuple[str, ...] = ("http/1.1",)
    timeout: float = 2.5
    xml: str = ""
    form: tuple[tuple[str, str], ...] = ()
    login: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def sent(self) -> tuple[bytes, str]:
        """The body, and its media type."""
        if self.form:
            return urlencode(self.form).encode(), "application/x-www-form-urlencoded"
        return self.xml.encode(), "text/xml; charset=utf-8"


@dataclass(frozen=True)
class Response:
    """What came back; names of headers are in lower case.

    `fault` says in words why nobody answered, `untrusted` why the certificate (DER, as served) does not hold.
    """

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    certificate: bytes = b""
    untrusted: str = ""
    protocol: str = ""
    fault: str = ""

    @property
    def kind(self) -> str:
        """The media type, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def request(asked: Request) -> Response:
    """Ask, once; whatever goes wrong is an answer with its `fault`."""
    import http.client
    import socket
    import ssl

    parts = urlsplit(asked.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    to = asked.to or (host, parts.port or (443 if secure else 80))
    seen = Response()
    try:
        with socket.create_connection(to, asked.timeout) as plain:
            if not secure:
                return exchanged(plain, asked, seen)
            try:
                with context(asked.offer).wrap_socket(plain, server_hostname=host) as spoken:
                    return exchanged(spoken, asked, served(spoken))
            except ssl.SSLCertVerificationError as error:
                why = error.verify_message.rstrip(".")
                if asked.login:
                    return replace(seen, untrusted=why, fault=f"its certificate does not hold: {why}")
        with (
            socket.create_connection(to, asked.timeout) as plain,
            context(asked.offer, trusting=True).wrap_socket(plain, server_hostname=host) as spoken,
        ):
            return exchanged(spoken, asked, replace(served(spoken), untrusted=why))
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return replace(seen, fault=words(error, asked.timeout))


@functools.lru_cache
def context(offer: tuple[str, ...], trusting: bool = False) -> ssl.SSLContext:
    """TLS with the roots that this machine trusts; `trusting` takes any certificate, to look at it.

    To read the roots takes longer than a request.
    """
    import ssl

    made = ssl.create_default_context()
    made.set_alpn_protocols([*offer])
    if trusting:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


def served(spoken: ssl.SSLSocket) -> Response:
    """What the handshake showed."""
    return Response(
        certificate=spoken.getpeercert(binary_form=True) or b"",
        protocol=spoken.selected_alpn_protocol() or "http/1.1",
    )


def exchanged(connection: socket.socket, asked: Request, seen: Response) -> Response:
    """Send the request, and read the answer."""
    import http.client

    if seen.protocol and not seen.protocol.startswith("http/1."):
        return seen
    parts = urlsplit(asked.url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    spoken = http.client.HTTPConnection(parts.netloc, timeout=asked.timeout)
    spoken.sock = connection
    # As it is: whoever asks wants to know what becomes of just this path.
    spoken.putrequest(asked.method, path, skip_host=True, skip_accept_encoding=True)
    spoken.putheader("Host", parts.netloc)
    spoken.putheader("User-Agent", "matrix-baremetal doctor")
    if asked.upload is not None:
        spoken.putheader("Content-Length", str(asked.upload))
        spoken.putheader("Expect", "100-continue")
        spoken.endheaders()
        with connection.makefile("rb") as lines:
            first = lines.readline(4096).split()
        return replace(seen, status=int(first[1]) if len(first) > 1 and first[1].isdigit() else 0)
    spoken.putheader("Connection", "close")
    body, kind = asked.sent
    if asked.login:
        import base64

        name = base64.b64encode(":".join(asked.login).encode()).decode()
        spoken.putheader("Authorization", f"Basic {name}")
    if body:
        spoken.putheader("Content-Type", kind)
        spoken.putheader("Content-Length", str(len(body)))
    spoken.endheaders(body or None)
    answer = spoken.getresponse()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return replace(seen, status=answer.status, headers=headers, body=answer.read(MOST_BYTES))


def words(error: Exception, seconds: float) -> str:
    """Why nobody answered."""
    import socket
    import ssl

    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or 'cut off').lower().replace('_', ' ')}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "it hung up without an answer"
