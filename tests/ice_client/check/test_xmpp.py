"""What an XMPP server tells of its TURN servers: Prosody's word, and servers that misbehave."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
import trio
import trustme
from click.testing import CliRunner
from trio.testing import MockClock

from ice_client.check.cli import main
from ice_client.check.probe_dns import NameServer
from ice_client.check.sasl import MOST_ITERATIONS, SaslError, Scram, choose
from ice_client.check.sources import ExternalService, from_xmpp
from ice_client.check.target import Target, TargetError
from ice_client.check.xmpp import TIMEOUT, Account, ask_xmpp_server
from ice_client.check.xmpp_connect import Door, find_doors, lookup_of, parse_door
from ice_client.check.xmpp_stream import LARGEST_STREAM, ElementParser, XmppError
from tests.ice_client.check.name_server import name_server
from tests.ice_client.check.prosody import ACCOUNT, DOMAIN, PASSWORD, Prosody, running_prosody
from tests.ice_client.check.test_commands import ice_check
from tests.interop.server_under_test import SECRET, free_port, running_server

# --- Prosody ---


def turn_settings(port: int, **more: object) -> dict[str, object]:
    return {
        "turn_external_host": "127.0.0.1",
        "turn_external_port": port,
        "turn_external_secret": SECRET,
        "turn_external_tcp": True,
        **more,
    }


async def ask(prosody: Prosody, account: str = ACCOUNT, password: str = PASSWORD) -> list[Target]:
    return await ask_xmpp_server(
        account, password, f"127.0.0.1:{prosody.port}", ca_file=prosody.ca_file
    )


async def test_check_of_what_prosody_gives_its_users_is_healthy(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, hosts=["127.0.0.1"]) as turnd,
        running_prosody(tmp_path, ("turn_external",), turn_settings(turnd.plain_port)) as prosody,
    ):
        done = await ice_check(
            *("--xmpp", ACCOUNT, "--xmpp-host", f"127.0.0.1:{prosody.port}"),
            *("--ca-file", str(prosody.ca_file), "--json", "--no-quality", "--no-nat"),
            ICE_CHECK_XMPP_PASSWORD=PASSWORD,
        )
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert [each for each in report["findings"] if each["severity"] == "error"] == []
    failed = [stage for row in report["rows"] for stage in row["stages"] if stage["cause"]]
    assert failed == []
    assert {row["transport"] for row in report["rows"]} == {"udp", "tcp"}
    assert PASSWORD not in done.out
    assert turnd.transports() == {"udp", "tcp"}


@pytest.mark.parametrize("refused", [["SCRAM-SHA-256"], ["SCRAM-SHA-256", "SCRAM-SHA-1"], []])
async def test_prosody_takes_each_mechanism(refused: list[str], tmp_path: Path) -> None:
    settings = turn_settings(3478, disable_sasl_mechanisms=[*refused, "DIGEST-MD5"])
    async with running_prosody(tmp_path, ("turn_external",), settings) as prosody:
        targets = await ask(prosody)
        log = prosody.log.read_text()
    used = {0: "SCRAM-SHA-256", 1: "SCRAM-SHA-1", 2: "PLAIN"}[len(refused)]
    assert f"mechanism='{used}'" in log
    stun, turn = targets
    assert [str(uri) for uri in stun.uris] == ["stun:127.0.0.1:3478"]
    assert (stun.username, stun.password) == (None, None)
    assert [str(uri) for uri in turn.uris] == [
        "turn:127.0.0.1:3478?transport=udp",
        "turn:127.0.0.1:3478?transport=tcp",
    ]
    assert turn.username is not None
    assert turn.username.isdigit()
    assert turn.software == "XMPP"


async def test_prosody_found_by_srv_with_tls_at_once(tmp_path: Path) -> None:
    async with running_prosody(tmp_path, ("turn_external",), turn_settings(3478)) as prosody:
        zone = {
            (f"_xmpps-client._tcp.{DOMAIN}", "SRV"): [f"1 0 {prosody.secure_port} xmpp.example."],
            (f"_xmpp-client._tcp.{DOMAIN}", "SRV"): [f"0 0 {free_port()} xmpp.example."],
            ("xmpp.example", "A"): ["127.0.0.1"],
        }
        async with name_server(zone) as resolver:
            # Nobody is at the first of them, which is STARTTLS.
            targets = await ask_xmpp_server(
                ACCOUNT, PASSWORD, ca_file=prosody.ca_file, name_server=resolver
            )
    assert len(targets) == 2


async def test_prosody_that_refuses_says_why(tmp_path: Path) -> None:
    async with running_prosody(tmp_path) as prosody:
        with pytest.raises(XmppError, match=r"no external service discovery \(XEP-0215"):
            await ask(prosody)
        for account, password in ((ACCOUNT, "another"), (f"nobody@{DOMAIN}", PASSWORD)):
            with pytest.raises(XmppError, match="no such account, or it has another password"):
                await ask(prosody, account, password)
        with pytest.raises(XmppError, match=r"does not serve other\.example"):
            await ask(prosody, "alice@other.example")
        with pytest.raises(XmppError, match="TLS failed: the XMPP server's certificate"):
            await ask_xmpp_server(ACCOUNT, PASSWORD, f"127.0.0.1:{prosody.port}")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--xmpp", ACCOUNT, "--xmpp-host", "127.0.0.1:PORT"], 1, "Connection refused"),
        (["--xmpp", "alice"], 2, "'alice' is not an XMPP address"),
        (["--xmpp", ACCOUNT, "--xmpp-host", "x:y"], 2, "'x:y' is not HOST:PORT"),
    ],
)
def test_failure_on_the_command_line_is_told_and_has_its_code(
    arguments: list[str], code: int, message: str
) -> None:
    port = str(free_port(["127.0.0.1"]))
    words = [each.replace("PORT", port) for each in arguments]
    done = CliRunner().invoke(main, words, env={"ICE_CHECK_XMPP_PASSWORD": "p"})
    assert done.exit_code == code, done.output
    assert message in done.output


def test_password_is_needed() -> None:
    done = CliRunner().invoke(main, ["--xmpp", ACCOUNT], env={"ICE_CHECK_XMPP_PASSWORD": None})
    assert done.exit_code == 2
    assert "ICE_CHECK_XMPP_PASSWORD" in done.output


# --- Servers of our own, which say line by line what they are told to ---

HEADER = (
    "<?xml version='1.0'?><stream:stream xmlns='jabber:client' version='1.0' from='example.org'"
    " id='1' xmlns:stream='http://etherx.jabber.org/streams'>"
)
STARTTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
PLAIN = f"<mechanisms {SASL}><mechanism>PLAIN</mechanism></mechanisms>"
SUCCESS = f"<success {SASL}/>"


def features(inside: str) -> str:
    return f"{HEADER}<stream:features>{inside}</stream:features>"


def result(inside: str, kind: str = "result") -> str:
    return f"<iq xmlns='jabber:client' type='{kind}' id='ID'>{inside}</iq>"


def services(*each: str, name: str = "services") -> str:
    return result(f"<{name} xmlns='urn:xmpp:extdisco:2'>{''.join(each)}</{name}>")


def refusal(condition: str) -> str:
    stanza = f"<{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    return result(f"<error type='cancel'>{stanza}</error>", "error")


LOGGED_IN = [features(PLAIN), SUCCESS, features(BIND), result("")]
"""What a server says in TLS until the account has a resource."""


async def _read(stream: trio.abc.Stream) -> str:
    return bytes(await stream.receive_some(65536)).decode(errors="replace")


@contextlib.asynccontextmanager
async def scripted(
    plain: Sequence[str],
    secure: Sequence[str],
    folder: Path,
    heard: list[str],
    silent: Callable[[], object],
) -> AsyncIterator[int]:
    """Answer what comes with the next line, `plain` before TLS, `secure` in it; then nothing."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(DOMAIN).configure_cert(context)

    async def say(stream: trio.abc.Stream, lines: Sequence[str]) -> None:
        for line in lines:
            told = await _read(stream)
            heard.append(told)
            number = told.partition(" id='")[2].partition("'")[0]
            await stream.send_all(line.replace("ID", number).encode())

    async def serve(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            await say(stream, plain)
            if secure:
                tls = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
                await say(tls, secure)
            silent()
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def ask_scripted(
    folder: Path,
    secure: Sequence[str] = (),
    plain: Sequence[str] = (features(STARTTLS), PROCEED),
    heard: list[str] | None = None,
    account: str = ACCOUNT,
    silent: Callable[[], object] = bool,
) -> list[Target]:
    """Ask such a server; an error is the one raised, without groups around it."""
    outcome: list[Target] | XmppError | TargetError
    said = heard if heard is not None else []
    async with scripted(plain, secure, folder, said, silent) as port:
        where = f"127.0.0.1:{port}"
        try:
            outcome = await ask_xmpp_server(account, "s3cret", where, folder / "ca.pem")
        except (XmppError, TargetError) as error:
            outcome = error
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


TURN = "<service type='turn' host='2001:db8::1' port='3478' transport='udp' restricted='1'/>"


async def test_credentials_that_the_list_leaves_out_are_asked_for(tmp_path: Path) -> None:
    given = "<service type='turn' host='2001:db8::1' username='u&amp;1' password='p'/>"
    heard: list[str] = []
    script = [*LOGGED_IN, services(TURN), services(given, name="credentials")]
    (target,) = await ask_scripted(tmp_path, script, heard=heard)
    assert [str(uri) for uri in target.uris] == ["turn:[2001:db8::1]:3478?transport=udp"]
    assert (target.username, target.password) == ("u&1", "p")
    assert '<service type=\'turn\' host="2001:db8::1" port="3478"/>' in heard[-1]


async def test_older_namespace_and_stanzas_of_others(tmp_path: Path) -> None:
    old = "<services xmlns='urn:xmpp:extdisco:1'><service type='turn' host='t' username='u'/>"
    noise = "<message from='x@y'><body>hi</body></message><iq type='result' id='other'/>"
    script = [*LOGGED_IN, refusal("service-unavailable"), noise + result(f"{old}</services>")]
    (target,) = await ask_scripted(tmp_path, script)
    assert (str(target.uris[0]), target.username) == ("turn:t", "u")


async def test_refused_credentials_leave_the_service_without(tmp_path: Path) -> None:
    script = [*LOGGED_IN, services(TURN), refusal("item-not-found")]
    (target,) = await ask_scripted(tmp_path, script)
    assert (target.username, target.password) == (None, None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([features("")], "no SCRAM-SHA-256"),
        (
            [
                features(PLAIN),
                f"<failure {SASL}><account-disabled/><text>gone\x85</text></failure>",
            ],
            "refuses the login: account-disabled: gone$",
        ),
        ([features(PLAIN), f"<challenge {SASL}>AAAA</challenge>"], "PLAIN with a challenge"),
        ([features(PLAIN), f"<challenge {SASL}>?</challenge>"], "not base64"),
        ([features(PLAIN), SUCCESS, features("")], "no resource binding"),
        ([features(PLAIN), SUCCESS, features(BIND), refusal("conflict")], "refuses: conflict"),
        ([*LOGGED_IN, refusal("forbidden")], "does not tell this account its services: forbidden"),
        (
            [*LOGGED_IN, refusal("service-unavailable"), refusal("service-unavailable")],
            "offers no external service discovery",
        ),
        ([*LOGGED_IN, services()], "offers no STUN or TURN server"),
        ([*LOGGED_IN, services("<service type='turn' host='a b' username=''/>")], "a b"),
        ([*LOGGED_IN, "<iq/>" * 200], "sends much, but no answer"),
        ([*LOGGED_IN, "</stream:stream>"], "ended the stream"),
        (["HTTP/1.1 400 Bad Request\r\n\r\n"], "sends no XML"),
        (["<html><body/></html>"], "does not speak XMPP"),
        (['<!DOCTYPE a [<!ENTITY b "c">]>' + features(PLAIN)], "comment or DTD"),
        ([HEADER + "x" * (LARGEST_STREAM + 1)], f"more than {LARGEST_STREAM} bytes"),
        (
            [
                HEADER + "<stream:error><policy-violation"
                " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"
            ],
            "ended the stream: policy-violation",
        ),
    ],
)
async def test_server_that_fails_after_tls(lines: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises((XmppError, TargetError), match=message):
        await ask_scripted(tmp_path, lines)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([features(PLAIN)], "no STARTTLS; a password is not sent in the clear"),
        ([features(STARTTLS), PROCEED.replace("proceed", "failure")], "has it a certificate"),
        ([features(STARTTLS), PROCEED, "no TLS at all"], "TLS with the XMPP server failed"),
    ],
)
async def test_server_without_tls_gets_no_password(
    lines: list[str], message: str, tmp_path: Path
) -> None:
    heard: list[str] = []
    # What comes is bytes of a handshake at the end, which the script only reads as text.
    with pytest.raises(XmppError, match=message):
        await ask_scripted(tmp_path, plain=lines, heard=heard)
    assert "<auth" not in "".join(heard)


async def test_what_came_in_the_clear_behind_proceed_is_not_believed(tmp_path: Path) -> None:
    injected = f"{PROCEED}<stream:features>{PLAIN}</stream:features>"
    with pytest.raises(XmppError, match="no SCRAM-SHA-256"):
        await ask_scripted(tmp_path, [features("")], plain=[features(STARTTLS), injected])


@pytest.mark.parametrize(
    ("plain", "secure", "doing"),
    [
        ([HEADER], [], "connecting"),
        ([features(STARTTLS), PROCEED], [features(PLAIN)], "the login"),
        ([features(STARTTLS), PROCEED], LOGGED_IN, "the list of services"),
    ],
)
async def test_silent_server_is_given_up(
    plain: list[str], secure: list[str], doing: str, tmp_path: Path, mock_clock: MockClock
) -> None:
    def pass_time() -> None:
        mock_clock.jump(TIMEOUT)

    with pytest.raises(XmppError, match=f"takes too long: {doing}"):
        await ask_scripted(tmp_path, secure, plain, silent=pass_time)


async def test_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(XmppError, match=r"TLS failed: .*other\.example"):
        await ask_scripted(tmp_path, [features(PLAIN)], account="alice@other.example")


# --- Pieces ---


@pytest.mark.parametrize(
    ("hash_name", "nonce", "challenge", "response", "proof"),
    [
        (  # RFC 5802 §5
            "sha1",
            "fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ),
        (  # RFC 7677 §3
            "sha256",
            "rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ),
    ],
)
def test_scram_is_as_in_the_examples_of_the_rfcs(
    hash_name: str, nonce: str, challenge: str, response: str, proof: str
) -> None:
    scram = Scram(hash_name, "user", "pencil", nonce)
    assert scram.initial() == f"n,,n=user,r={nonce}".encode()
    assert scram.respond(challenge.encode()) == response.encode()
    assert not scram.satisfied
    with pytest.raises(SaslError, match="impostor"):
        scram.respond(b"v=" + b"AAAA")
    assert scram.respond(proof.encode()) == b""
    assert scram.satisfied


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"\xff",
        b"r=other,s=QSXC,i=4096",
        b"r=mine,s=QSXC,i=4096",
        b"r=mine1,s=?,i=4096",
        b"r=mine1,s=QSXC,i=0",
        b"r=mine1,s=QSXC",
        b"m=x,r=mine1,s=QSXC,i=4096",
        b"r=mine1,s=QSXC,i=%d" % (MOST_ITERATIONS + 1),
    ],
)
def test_scram_challenge_that_breaks_the_rules_is_refused(challenge: bytes) -> None:
    with pytest.raises(SaslError):
        Scram("sha1", "user", "pencil", "mine").respond(challenge)


def test_scram_escapes_what_has_a_meaning_in_it() -> None:
    assert Scram("sha1", "a=b,c", "p", "x").initial() == b"n,,n=a=3Db=2Cc,r=x"


def test_strongest_mechanism_offered_is_chosen() -> None:
    offers = {"PLAIN": "PLAIN", "SCRAM-SHA-1": "SCRAM-SHA-1", "SCRAM-SHA-256": "SCRAM-SHA-256"}
    offered: set[str] = {"DIGEST-MD5", "EXTERNAL"}
    assert choose(offered, "u", "p") is None
    for name in offers:
        offered.add(name)
        mechanism = choose(offered, "u", "p")
        assert mechanism is not None
        assert mechanism.name == name


async def test_scram_server_that_proves_nothing_is_not_believed(tmp_path: Path) -> None:
    with pytest.raises(XmppError, match="has not proved that it knows the password"):
        await ask_scripted(tmp_path, [features(PLAIN.replace("PLAIN", "SCRAM-SHA-1")), SUCCESS])


def test_parser_gives_the_same_elements_however_the_bytes_are_cut() -> None:
    data = f"{HEADER}<a b='>'>é</a><c/></stream:stream>".encode()
    for size in (1, 2, 7, len(data)):
        parser = ElementParser()
        found = [
            each for at in range(0, len(data), size) for each in parser.feed(data[at : at + size])
        ]
        assert [each.tag for each in found] == ["{jabber:client}a", "{jabber:client}c"]
        assert found[0].text == "é"
        assert parser.closed


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("markup", ["<!DOCTYPE a>", f"{HEADER}<!-- x -->", f"{HEADER}&undefined;"])
def test_parser_refuses_declarations(markup: str, size: int) -> None:
    parser = ElementParser()
    data = markup.encode()
    cuts = [data[at : at + size] for at in range(0, len(data), size)]
    with pytest.raises(XmppError):
        list(map(parser.feed, cuts))


def test_parser_survives_the_deepest_nesting_it_takes() -> None:
    deep = (LARGEST_STREAM - len(HEADER)) // 7
    (found,) = ElementParser().feed(f"{HEADER}{'<a>' * deep}{'</a>' * deep}".encode())
    assert sum(1 for _ in found.iter()) == deep


def test_parser_refuses_a_declaration_hidden_by_another_encoding() -> None:
    declared = "<?xml version='1.0' encoding='utf-7'?>+ADwAIQ-DOCTYPE a>"
    with pytest.raises(XmppError):
        ElementParser().feed(declared.encode())
    with pytest.raises(XmppError):
        ElementParser().feed("<!DOCTYPE a>".encode("utf-16"))


def test_services_with_the_same_credentials_are_one_target() -> None:
    def service(kind: str, transport: str | None, user: str | None) -> ExternalService:
        return ExternalService(type=kind, host="t.example", transport=transport, username=user)

    found = from_xmpp(
        [
            service("turn", "UDP", "u"),
            service("stun", "udp", None),
            service("stun", "tcp", None),
            service("turns", "tcp", "u"),
            service("stuns", "tcp", None),
        ]
    )
    assert [[str(uri) for uri in each.uris] for each in found] == [
        ["turn:t.example?transport=udp", "turns:t.example?transport=tcp"],
        ["stun:t.example", "stuns:t.example"],
    ]


def test_addresses_and_hosts_are_read_or_refused() -> None:
    assert Account.parse("a@B.example./phone") == Account("a", "b.example")
    for text in ("b.example", "@b.example", "a@", "a@b c"):
        with pytest.raises(TargetError):
            Account.parse(text)
    assert parse_door("x.example") == Door("x.example", 5222, direct=False)
    assert parse_door("x.example:5223") == Door("x.example", 5223, direct=True)
    assert parse_door("[::1]:80") == Door("::1", 80, direct=False)
    assert parse_door("::1") == parse_door("[::1]") == Door("::1", 5222, direct=False)
    for text in ("", ":1", "x:y", "x:0", "x:65536", "x:"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            parse_door(text)


async def test_doors_are_what_srv_says_of_both_kinds_by_priority() -> None:
    zone = {
        ("_xmpps-client._tcp.a.example", "SRV"): ["5 0 443 x.example.", "9 0 80 z.example."],
        ("_xmpp-client._tcp.a.example", "SRV"): ["1 0 5222 y.example.", "9 0 80 z.example."],
        ("_xmpp-client._tcp.none.example", "SRV"): ["0 0 0 ."],
    }
    async with name_server(zone) as resolver:
        lookup = lookup_of(NameServer(resolver.address, resolver.port))
        assert await find_doors("a.example", lookup) == [
            Door("y.example", 5222, direct=False),
            Door("x.example", 443, direct=True),
            Door("z.example", 80, direct=True),
            Door("z.example", 80, direct=False),
        ]
        assert await find_doors("b.example", lookup) == [Door("b.example", 5222, direct=False)]
        with pytest.raises(XmppError, match="no XMPP service"):
            await find_doors("none.example", lookup)
