"""show: what to tell a DNS provider, another web server, a router, an identity provider, an editor."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from matrix_baremetal import (
    HOW_TO,
    config_schema,
    ddns_run,
    dns_records,
    facts,
    net,
    ports,
    report,
    session,
    well_known,
)
from matrix_baremetal.checks.firewall import WALLS
from matrix_baremetal.components.oidc import callback
from matrix_baremetal.resources import elsewhere
from matrix_baremetal.session import Session


def run(args: Namespace) -> int:
    """Show what `show ACTION` says."""
    if args.action == "config-schema":
        report.document(config_schema.schema())
        return 0
    now = session.begin(args.root, args.config)
    {"dns": dns, "well-known": documents, "ports": openings, "oidc": single_sign_on}[args.action](now, args)
    return 0


def dns(now: Session, args: Namespace) -> None:
    """The records to make at the DNS provider."""
    found = records(now)
    if args.json:
        report.document({"server_name": now.site.config.server_name, "records": [asdict(each) for each in found]})
    elif args.zone:
        print(dns_records.zone(found))
    else:
        print(dns_page(now, found))


def records(now: Session) -> list[dns_records.Record]:
    """The records, with the addresses that this machine has."""
    note = ddns_run.noted(now.host) if now.host.live else None
    line = note.address if note and note.address else None
    return list(dns_records.records(now.site, now.needs, (*own(now), *routers(now)), occupied(now), line))


def routers(now: Session) -> tuple[str, ...]:
    """The public address of the router before this machine, where it says one: it is what names lead to."""
    home = facts.home(now.host) if now.host.live else None
    return net.public((now.host.net.router(home.gateway),)) if home else ()


def own(now: Session) -> tuple[str, ...]:
    """This machine's addresses; in a folder none are known."""
    return facts.addresses(now.host) if now.host.live else ()


def dns_page(now: Session, found: list[dns_records.Record]) -> str:
    """The records for a person."""
    rows = [("NAME", "TYPE", "VALUE", "FOR")]
    for each in found:
        words = f"{each.purpose} (optional)" if each.optional else each.purpose
        rows.append((each.name, each.type, each.shown, words))
    parts = [report.table(rows)]
    parts += [f"Another web server answers for {name}: its records stay as they are." for name in occupied(now)]
    if any(each.value is None for each in found):
        parts.append(unknown(own(now)))
    elif not now.site.config.ddns and (outside := routers(now)):
        parts.append(f"{outside[0]} is the router's address. {STALE}")
    if now.site.config.ddns:
        parts.append(FOLLOWING)
    parts.append(
        "Leave a provider's proxy for web sites (Cloudflare's orange cloud) off for these names: it limits the "
        "size of uploads, and passes on the ports of web sites alone."
    )
    return "\n\n".join([parts[0], *(report.wrapped(part, margin=2) for part in parts[1:])])


STALE = f"Where the line gets another one now and then, have the names follow: {HOW_TO}/home-line.md."
FOLLOWING = (
    "Make the names that follow once at their provider; from then on they are kept up to date "
    f"({HOW_TO}/home-line.md). A CNAME goes to whoever has the domain."
)


def occupied(now: Session) -> list[str]:
    """Names of ours for which another web server was seen to answer."""
    return [name for name in now.needs.domains() if is_elsewhere(now, name)]


def is_elsewhere(now: Session, name: str) -> bool:
    """Whether another web server was seen to answer for a name."""
    documents = now.needs.elsewhere(name)
    return documents is not None and elsewhere.noted(now.host, name, documents)


def unknown(mine: tuple[str, ...]) -> str:
    """Why there is an address to fill in."""
    if not mine:
        return "The addresses of the machine can't be known from here: fill them in."
    private = ", ".join(address for address in mine if "." in address)
    return (
        f"This machine has no public IPv4 address of its own ({private}): fill in that of the router before it, "
        "which has to forward the ports that matrix-baremetal show ports names."
    )


def documents(now: Session, args: Namespace) -> None:
    """What another web server has to answer, where the server name is one."""
    site, text = now.site, well_known.snippet(now.site, args.server) if args.server else None
    absent = [f"https://{site.config.server_name}{path}" for path in well_known.absent(site)]
    rows = {f"https://{site.config.server_name}{path}": found for path, found in well_known.documents(site).items()}
    if args.json:
        found = [{"url": url, "content": content, "headers": well_known.HEADERS} for url, content in rows.items()]
        page = {"server_name": site.config.server_name, "documents": found, "absent": absent}
        report.document(page | ({"text": text} if text else {}))
    elif text:
        print(text, end="")
    else:
        overview(now, rows, absent)


def overview(now: Session, rows: dict[str, dict[str, object]], absent: list[str]) -> None:
    """The documents and their headers, and how to have them ready to paste."""
    import json

    config = now.site.config
    if config.hostname == config.server_name:
        print(f"{config.server_name} is this machine (hostname): it answers these by itself.\n")
    for url, content in rows.items():
        print(f"{url}\n    {json.dumps(content)}\n")
    for url in absent:
        print(f"{url}\n    must not be there, or other servers would go by it alone\n")
    print("Each comes with status 200 and these headers:")
    print("\n".join(f"    {name}: {value}" for name, value in well_known.HEADERS.items()))
    ways = "|".join(well_known.SERVERS)
    print(f"\nIn the words of the web server there: matrix-baremetal show well-known --for {ways}")


def openings(now: Session, args: Namespace) -> None:
    """The ports to let through a firewall or router."""
    found, home = list(ports.openings(now.site, now.needs)), facts.home(now.host) if now.host.live else None
    rules = ports.nftables(now.site, now.needs) if args.nftables else None
    if args.json:
        router, to = (home.gateway, home.address) if home else (None, None)
        page = {"ports": [asdict(each) for each in found], "router": router, "forward_to": to}
        report.document(page | {"firewall": now.site.config.wall.kind} | ({"text": rules} if rules else {}))
        return
    if rules:
        print(rules, end="")
        return
    rows = [
        ("", "PORT", "FOR"),
        *((each.direction, f"{each.numbers}/{each.protocol}", each.purpose) for each in found),
    ]
    print(report.table(rows))
    print("\n" + "\n\n".join(report.wrapped(part, margin=2) for part in letting(now, found, home)))


def letting(now: Session, found: list[ports.Opening], home: facts.Home | None) -> Iterator[str]:
    """What to enter at a router, in its own words: what is forwarded, and to whom."""
    mine, public = own(now), net.public(own(now))
    if not mine:
        yield "Behind a router, forward the incoming ones to this machine. All others may stay closed."
        return
    if home:
        kinds = {kind: ports.numbers(found, kind) for kind in ("tcp", "udp")}
        told = "; ".join(f"{kind.upper()} {', '.join(numbers)}" for kind, numbers in kinds.items() if numbers)
        yield (
            f"At the router, {home.gateway}, forward to {home.address}, each to the same port: {told}. "
            f"Have it give this machine the address {home.address} always (a reservation), or the forwards go astray."
        )
    six = [each for each in public if ":" in each]
    if home and six:
        yield f"By IPv6 nothing is forwarded: have it let the same ports in to {six[0]}."
    elif public:
        yield f"This machine has {public[0]} of its own: no router forwards anything, a firewall lets them in."
    yield "All others may stay closed."
    yield guarded(now)
    yield "Whether people get in, another machine of yours can tell: matrix-baremetal doctor --probe-from ssh:HOST"


def guarded(now: Session) -> str:
    """Whether this machine's own firewall is looked after."""
    kind = now.site.config.wall.kind
    if kind != "none":
        return f"This machine's firewall is looked after: apply lets the incoming ones in by {kind}."
    there = [name for name, wall in WALLS.items() if now.host.live and now.host.superuser and wall.active(now.host)]
    if there:
        return (
            f"{there[0]} is on here, and not looked after; to have these let in: firewall: {there[0]} in the config."
        )
    return f"This machine's own firewall, where it has one, is not looked after ({HOW_TO}/firewall.md)."


def single_sign_on(now: Session, args: Namespace) -> None:
    """What an identity provider has to be told of this homeserver; that comes before it is in the config."""
    config = now.site.config
    back, url = callback(config.hostname), f"https://{config.hostname}"
    if args.json:
        named = [{key: getattr(each, key) for key in ("id", "name", "issuer", "client_id")} for each in config.oidc]
        report.document({"redirect_uri": back, "home_page": f"{url}/", "providers": named})
        return
    rows = [
        ("AT THE PROVIDER", "ENTER"),
        ("redirect URI (callback URL)", back),
        ("home page", f"{url}/"),
        ("kind of client", "confidential, with a secret; authorization code (standard flow), nothing else"),
    ]
    print(report.table(rows))
    for each in config.oidc:
        print(f"\n{each.id} ({each.name}): {each.issuer}, as the client {each.client_id}")
    print("\n" + report.wrapped(SIGN_ON if config.oidc else f"{UNTOLD} {SIGN_ON}", margin=2))


UNTOLD = "No provider is in the config yet: what it shows for this client goes there, under oidc."
SIGN_ON = f"All of it, step by step: {HOW_TO}/single-sign-on.md."
