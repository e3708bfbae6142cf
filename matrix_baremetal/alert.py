"""The news of a look, told to people: in the room of the alerts, by mail where the homeserver does not take them.

What could be told to nobody waits in a file of root's, and is told with the next. Secrets are taken out of it.
"""

from __future__ import annotations

import hashlib
import html
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from matrix_baremetal import bundle
from matrix_baremetal.components.component import STATE
from matrix_baremetal.components.mail import encryption
from matrix_baremetal.config import Config
from matrix_baremetal.findings import STATES, Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.alert_room import ask, remembered, within
from matrix_baremetal.smtp import MailServer

UNTOLD = f"{STATE}/alerts-untold.json"
# Findings in a message, lines of what was seen in one, characters of a line; and findings that wait at most.
MOST, LINES, WIDTH, WAITING = 12, 6, 200, 200
# Bytes: an event of Matrix has 65536 at most.
LARGEST = 60_000
BAD = ("fail", "warn")


@dataclass(frozen=True)
class Sent:
    """How the news went: by `room` or `mail`, or by neither (`way` is empty); and why not otherwise."""

    way: str
    why: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """For the journal."""
        reasons = "; ".join(self.why)
        if self.way == "room":
            return "it was told in the room of the alerts"
        if self.way == "mail":
            return f"it was told by mail ({reasons})" if reasons else "it was told by mail"
        return f"nobody could be told ({reasons}); it is told again the next time"


def wanted(host: Host, config: Config | None) -> bool:
    """Whether somebody is to be told. With a config that has mistakes, the room is remembered."""
    if config is None:
        return remembered(host) is not None
    return bool(config.alerts.invite or config.alerts.mail)


def keep(host: Host, news: Sequence[Finding]) -> None:
    """Have them wait: before they count as known, so that a kill in between has them told twice and not never."""
    if news:
        since, waiting = untold(host)
        kept = [*waiting, *news][-WAITING:]
        rows = [asdict(finding) for finding in kept]
        host.write(UNTOLD, json.dumps({"since": since or int(time.time()), "rows": rows}) + "\n", 0o600)


def untold(host: Host) -> tuple[int, list[Finding]]:
    """What waits, and since when."""
    try:
        read = json.loads(host.text(UNTOLD) or "{}")
        rows = [Finding(**{**row, "evidence": tuple(row["evidence"])}) for row in read["rows"]]
        return int(read["since"]), rows
    except (ValueError, KeyError, TypeError):
        return 0, []


def told(host: Host, name: str, config: Config | None) -> Sent | None:
    """Tell what waits, in one message; None where nothing does."""
    since, news = untold(host)
    if not news:
        return None
    known = bundle.secrets(host)
    rows = [cleaned(each, known) for each in sorted(news, key=lambda each: STATES.index(each.state))]
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(since))
    head = f"{name}: {counted(rows)} ({when})"
    why = []
    if config is None or config.alerts.invite:
        fault = by_room(host, head, rows)
        if not fault:
            host.remove(UNTOLD)
            return Sent("room")
        why.append(f"the homeserver: {fault}")
    if config is not None and config.alerts.mail:
        fault = by_mail(host, config, head, rows)
        if not fault:
            host.remove(UNTOLD)
            return Sent("mail", tuple(why))
        why.append(f"the mail server: {fault}")
    return Sent("", tuple(why))


def by_room(host: Host, head: str, rows: Sequence[Finding]) -> str:
    """Why the room did not take it; nothing where it did."""
    room = remembered(host)
    if room is None:
        return "there is no room for the alerts yet"
    body = text(head, rows)
    once = hashlib.sha256(body.encode()).hexdigest()[:32]
    said = content(body, formatted(head, rows))
    answer = ask(host, "PUT", within(room, "send", "m.room.message", once), said)
    return "" if answer.status == 200 else answer.error


def content(body: str, page: str) -> dict[str, str]:
    """What a message holds: words, and the same as HTML where there is room for both."""
    # A message and no notice: those make no phone ring.
    plain = {"msgtype": "m.text", "body": body}
    whole = {**plain, "format": "org.matrix.custom.html", "formatted_body": page}
    return whole if len(json.dumps(whole)) < LARGEST else plain


def by_mail(host: Host, config: Config, head: str, rows: Sequence[Finding]) -> str:
    """Why the mail server did not take it; nothing where it did."""
    return post(host, config, str(config.alerts.mail), head, text(head, rows))


def post(host: Host, config: Config, to: str, head: str, body: str) -> str:
    """Send a mail by the config's mail server; why it did not take it, nothing where it did."""
    assert config.mail, "the config was refused otherwise"
    smtp = config.mail.smtp
    password = (host.text(smtp.password_file) or "").strip("\r\n") if smtp.password_file else ""
    server = MailServer(smtp.host, smtp.port, encryption(smtp), smtp.user or "", password)
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = smtp.from_, to, head
    mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid(domain=config.hostname)
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body)
    return host.net.smtp(server, mail)


def cleaned(finding: Finding, known: Iterable[str]) -> Finding:
    """Without secrets, and no longer than a person reads."""
    seen = (bundle.cleaned(readable(each), known) for each in finding.evidence)
    lines = [line for each in seen for line in each.splitlines() if line.strip()]
    more = (f"… {len(lines) - LINES} more lines",) if len(lines) > LINES else ()
    evidence = tuple(line[:WIDTH] for line in lines[:LINES]) + more
    message, next = (bundle.cleaned(readable(each), known)[: 2 * WIDTH] for each in (finding.message, finding.next))
    return Finding(finding.id, finding.state, message, evidence, next)


def readable(text: str) -> str:
    """A text without the bytes of a file that were no UTF-8: no message can have them."""
    return text.encode("utf-8", "replace").decode()


def counted(rows: Sequence[Finding]) -> str:
    """1 new fault, 2 new warnings, 1 mended."""
    faults, warnings = (sum(each.state == state for each in rows) for state in BAD)
    mended = len(rows) - faults - warnings
    parts = [(faults, "new fault"), (warnings, "new warning")]
    words = [f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in parts if count]
    return ", ".join([*words, *([f"{mended} mended"] if mended else [])])


def sentences(finding: Finding) -> tuple[str, str]:
    """Its sign with its id, and what is said of it."""
    if finding.state in BAD:
        return f"{'✗' if finding.state == 'fail' else '!'} {finding.id}", finding.message
    return f"✓ {finding.id}", f"no longer at fault: {finding.message}"


def text(head: str, rows: Sequence[Finding]) -> str:
    """The message in plain words."""
    return "\n".join((head, *plain(rows), *rest(rows))) + "\n"


def plain(rows: Sequence[Finding]) -> Iterator[str]:
    """Each finding in lines."""
    for finding in rows[:MOST]:
        sign, said = sentences(finding)
        yield f"\n{sign}: {said}"
        if finding.state in BAD:
            yield from (f"    {line}" for line in finding.evidence)
            if finding.next:
                yield f"    next: {finding.next}"


def rest(rows: Sequence[Finding]) -> tuple[str, ...]:
    """What did not fit."""
    return (f"\n… and {len(rows) - MOST} more: matrix-baremetal doctor",) if len(rows) > MOST else ()


def formatted(head: str, rows: Sequence[Finding]) -> str:
    """The same as HTML of the kind that Matrix's clients show."""
    parts = [f"<p><strong>{html.escape(head)}</strong></p>"]
    for finding in rows[:MOST]:
        sign, said = sentences(finding)
        parts.append(f"<p><strong>{html.escape(sign)}</strong>: {html.escape(said)}</p>")
        if finding.state in BAD and finding.evidence:
            parts.append(f"<pre><code>{html.escape(chr(10).join(finding.evidence))}</code></pre>")
        if finding.state in BAD and finding.next:
            parts.append(f"<p>next: <code>{html.escape(finding.next)}</code></p>")
    return "".join((*parts, *(f"<p>{html.escape(each.strip())}</p>" for each in rest(rows))))
