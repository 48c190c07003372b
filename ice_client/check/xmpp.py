"""Asks an XMPP server which STUN and TURN servers its users get (XEP-0215).

A login as any client's (RFC 6120): TLS, SASL, a resource, and then the question. Nothing else
is asked and no presence is sent, so nobody sees the account come online.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import secrets
import ssl
import xml.etree.ElementTree as ET
from pathlib import Path
from xml.sax.saxutils import quoteattr

import attrs
import trio

from ice_client.check.probe_dns import NameServer
from ice_client.check.sasl import Mechanism, SaslError, choose
from ice_client.check.sources import ExternalService, from_xmpp
from ice_client.check.target import Target, TargetError
from ice_client.check.xmpp_connect import (
    Door,
    connect,
    find_doors,
    is_literal,
    lookup_of,
    parse_door,
    tls_context,
)
from ice_client.check.xmpp_stream import CLIENT, XmlStream, XmppError, condition_of

TIMEOUT = 30.0
"""Seconds for everything: DNS, connecting, the login and the answer."""
MOST_SERVICES = 32
MOST_STANZAS = 100
"""Of others, that are passed over while waiting for an answer."""

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
EXTDISCO = ("urn:xmpp:extdisco:2", "urn:xmpp:extdisco:1")
"""XEP-0215's namespaces, the newest first."""
_NOT_OFFERED = {"service-unavailable", "feature-not-implemented", "item-not-found", "bad-request"}
_OURS = {"stun", "stuns", "turn", "turns"}


class RefusedError(XmppError):
    """An error in answer to a request; `condition` is its name (RFC 6120 §8.3)."""

    def __init__(self, condition: str) -> None:
        super().__init__(f"the XMPP server refuses: {condition}")
        self.condition = condition.partition(":")[0]


@attrs.frozen(slots=True)
class Account:
    """A bare JID (RFC 7622), taken apart."""

    user: str
    domain: str

    @classmethod
    def parse(cls, text: str) -> Account:
        """Read `user@domain`; a resource behind it is left out.

        Raises:
            TargetError: it is none.

        """
        user, at, domain = text.partition("/")[0].partition("@")
        domain = domain.removesuffix(".").lower()
        if not at or not user or not domain or not (user + domain).isprintable() or " " in domain:
            raise TargetError(f"{text!r} is not an XMPP address (user@example.org)")
        return cls(user, domain)


async def ask_xmpp_server(
    address: str,
    password: str,
    host: str | None = None,
    ca_file: Path | None = None,
    name_server: NameServer | None = None,
    timeout: float = TIMEOUT,
) -> list[Target]:
    """Return the targets an XMPP server gives its users.

    Args:
        address: of the account, `user@example.org`.
        password: of the account.
        host: HOST or HOST:PORT to connect to; None for what DNS says of the domain.
        ca_file: roots to trust instead of the system's.
        name_server: whom to ask instead of the system's.
        timeout: seconds for everything.

    Raises:
        TargetError: `address` or `host` is malformed, or a service offered is.
        XmppError: the server cannot be reached, TLS fails, it refuses the login, or it offers
            no STUN or TURN server.

    """
    account = Account.parse(address)
    try:
        doors = [parse_door(host)] if host is not None else []
    except ValueError as error:
        raise TargetError(str(error)) from error
    step = _Step()
    try:
        with trio.fail_after(timeout):
            services = await _ask(account, password, doors, tls_context(ca_file), name_server, step)
    except trio.TooSlowError as error:
        raise XmppError(f"the XMPP server takes too long: {step.name}") from error
    except SaslError as error:
        raise XmppError(f"the login at the XMPP server failed: {error}") from error
    return from_xmpp(services)


@attrs.define(slots=True)
class _Step:
    """What is being done, for when it takes too long."""

    name: str = "connecting"


async def _ask(
    account: Account,
    password: str,
    doors: list[Door],
    context: ssl.SSLContext,
    name_server: NameServer | None,
    step: _Step,
) -> list[ExternalService]:
    lookup = lookup_of(name_server)
    if not doors and is_literal(account.domain):
        doors = [parse_door(account.domain)]
    doors = doors or await find_doors(account.domain, lookup)
    transport = await connect(doors, account.domain, context, lookup)
    try:
        step.name = "the login"
        await _log_in(XmlStream(transport, account.domain), account, password)
        # RFC 6120 §6.4.6: a new stream, of somebody now.
        stream = XmlStream(transport, account.domain)
        features = await stream.open()
        if features.find(f"{{{BIND}}}bind") is None:
            raise XmppError("the XMPP server offers no resource binding")
        await _request(stream, f"<bind xmlns='{BIND}'/>", kind="set")
        step.name = "the list of services"
        services = await _services(stream, account.domain)
        with contextlib.suppress(XmppError), trio.move_on_after(1):
            await stream.send("</stream:stream>")
        return services
    finally:
        await trio.aclose_forcefully(transport)


async def _log_in(stream: XmlStream, account: Account, password: str) -> None:
    """Do RFC 6120 §6.

    Raises:
        XmppError: the server refuses.
        SaslError: it breaks SCRAM's rules.

    """
    features = await stream.open()
    offered = {each.text or "" for each in features.iterfind(f"{{{SASL}}}mechanisms/*")}
    mechanism = choose(offered, account.user, password)
    if mechanism is None:
        raise XmppError("the XMPP server offers no SCRAM-SHA-256, SCRAM-SHA-1 or PLAIN")
    first = _encoded(mechanism.initial())
    await stream.send(f"<auth xmlns='{SASL}' mechanism='{mechanism.name}'>{first}</auth>")
    for _ in range(3):
        answer = await stream.receive()
        if answer.tag == f"{{{SASL}}}failure":
            raise XmppError(_login_refused(condition_of(answer, SASL)))
        if answer.tag == f"{{{SASL}}}success":
            if answer.text:
                await _response_to(answer, mechanism)
            if not mechanism.satisfied:
                raise SaslError("the server has not proved that it knows the password")
            return
        if answer.tag != f"{{{SASL}}}challenge":
            raise XmppError("the XMPP server answers the login with something else")
        response = _encoded(await _response_to(answer, mechanism))
        await stream.send(f"<response xmlns='{SASL}'>{response}</response>")
    raise SaslError("the server has ever more challenges")


async def _response_to(answer: ET.Element, mechanism: Mechanism) -> bytes:
    try:
        challenge = base64.b64decode((answer.text or "").strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SaslError("the server's challenge is not base64") from error
    return await trio.to_thread.run_sync(mechanism.respond, challenge)


def _encoded(message: bytes) -> str:
    # RFC 6120 §6.4.2: "=" is the empty message.
    return base64.b64encode(message).decode() or "="


def _login_refused(condition: str) -> str:
    if condition.startswith("not-authorized"):
        # Servers do not say which, on purpose.
        return (
            "the XMPP server refuses the login: there is no such account, or it has another"
            f" password ({condition})"
        )
    return f"the XMPP server refuses the login: {condition}"


async def _request(
    stream: XmlStream, payload: str, *, kind: str = "get", to: str = ""
) -> ET.Element:
    """Send an `<iq/>`; return its result.

    Raises:
        RefusedError: the result is an error.
        XmppError: there is none.

    """
    # Nobody else can know it: the answer is the server's.
    number = secrets.token_hex(8)
    receiver = f" to={quoteattr(to)}" if to else ""
    await stream.send(f"<iq type='{kind}' id='{number}'{receiver}>{payload}</iq>")
    for _ in range(MOST_STANZAS):
        stanza = await stream.receive()
        if stanza.tag != f"{{{CLIENT}}}iq" or stanza.get("id") != number:
            continue
        if stanza.get("type") == "result":
            return stanza
        error = stanza.find(f"{{{CLIENT}}}error")
        raise RefusedError("" if error is None else condition_of(error, STANZA_ERRORS))
    raise XmppError("the XMPP server sends much, but no answer")


async def _services(stream: XmlStream, domain: str) -> list[ExternalService]:
    """Ask for the list, and for the credentials that it leaves out.

    Raises:
        XmppError: there is none.

    """
    for namespace in EXTDISCO:
        try:
            answer = await _request(stream, f"<services xmlns='{namespace}'/>", to=domain)
        except RefusedError as error:
            if error.condition in _NOT_OFFERED:
                continue
            raise XmppError(
                f"the XMPP server does not tell this account its services: {error.condition}"
            ) from error
        found = _read(answer, namespace)
        return [await _with_credentials(stream, domain, namespace, each) for each in found]
    raise XmppError(
        f"{domain} offers no external service discovery (XEP-0215: mod_turn_external in Prosody,"
        " mod_stun_disco in ejabberd)"
    )


def _read(answer: ET.Element, namespace: str) -> list[ExternalService]:
    return [
        ExternalService(
            type=each.get("type", ""),
            host=each.get("host", ""),
            port=each.get("port"),
            transport=each.get("transport"),
            username=each.get("username"),
            password=each.get("password"),
        )
        for each in answer.iter(f"{{{namespace}}}service")
        if each.get("type") in _OURS
    ][:MOST_SERVICES]


async def _with_credentials(
    stream: XmlStream, domain: str, namespace: str, service: ExternalService
) -> ExternalService:
    """Return a TURN service with credentials, asked for (XEP-0215 §3.3) if it came without."""
    if service.username is not None or not service.type.startswith("turn"):
        return service
    port = f" port={quoteattr(service.port)}" if service.port else ""
    wanted = f"<service type='{service.type}' host={quoteattr(service.host)}{port}/>"
    try:
        answer = await _request(
            stream, f"<credentials xmlns='{namespace}'>{wanted}</credentials>", to=domain
        )
    except RefusedError:
        # A server that takes anybody has none to give; if this one does not, the check says so.
        return service
    for given in _read(answer, namespace):
        same = given.host == service.host and given.port in {service.port, None}
        if same and given.type == service.type:
            return attrs.evolve(service, username=given.username, password=given.password)
    return service
