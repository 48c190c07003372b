import pytest
from hypothesis import given
from hypothesis import strategies as st

from ice_client.core.candidate import Candidate, CandidateType, Transport
from ice_client.core.candidate_attribute import format_candidate, parse_candidate
from ice_client.errors import CandidateError
from stun import Address

HOST = "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


def test_example_of_rfc_8839_5_1_is_read() -> None:
    candidate = parse_candidate(
        "a=candidate:2 1 UDP 1694498815 192.0.2.3 45664 typ srflx raddr 203.0.113.141 rport 8998"
    )
    assert candidate == Candidate(
        foundation="2",
        component=1,
        priority=1694498815,
        address=Address.parse("192.0.2.3", 45664),
        type=CandidateType.SERVER_REFLEXIVE,
        related_address=Address.parse("203.0.113.141", 8998),
    )


def test_what_chromium_trickles_is_read_and_written_the_same() -> None:
    text = (
        "candidate:842163049 1 udp 1677729535 203.0.113.5 56143 typ srflx raddr 0.0.0.0 rport 0 "
        "generation 0 ufrag EsAw network-id 3 network-cost 900"
    )
    candidate = parse_candidate(text)
    assert candidate.username_fragment == "EsAw"
    assert (candidate.generation, candidate.network_id, candidate.network_cost) == (0, 3, 900)
    assert candidate.extensions == ()
    assert format_candidate(candidate) == text


def test_mdns_name_stands_for_the_address_and_hides_it() -> None:
    name = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"
    candidate = parse_candidate(f"candidate:1 1 udp 2113937151 {name} 54596 typ host")
    assert candidate.needs_resolution
    assert candidate.host_name == name
    resolved = candidate.resolved(Address.parse("192.0.2.7"))
    assert resolved.address == Address.parse("192.0.2.7", 54596)
    assert "192.0.2.7" not in format_candidate(resolved)
    assert parse_candidate(format_candidate(resolved)) == candidate


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("active", Transport.TCP_ACTIVE),
        ("passive", Transport.TCP_PASSIVE),
        ("so", Transport.TCP_SO),
    ],
)
def test_tcp_types_of_rfc_6544_4_5(name: str, transport: Transport) -> None:
    text = f"candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype {name}"
    candidate = parse_candidate(text.replace("tcp ", "TCP ", 1))
    assert candidate.transport is transport
    assert format_candidate(candidate) == text


def test_unknown_extensions_survive_in_order() -> None:
    text = HOST + " x-one 1 x-two  x-one 3"
    candidate = parse_candidate(text)
    assert candidate.extensions == (("x-one", "1"), ("x-two", ""), ("x-one", "3"))
    assert format_candidate(candidate) == text


def test_ipv6_is_read_and_a_zone_is_dropped() -> None:
    candidate = parse_candidate("candidate:1 1 udp 1 fe80::1%eth0 5000 typ host")
    assert candidate.address == Address.parse("fe80::1", 5000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "candidate:",
        HOST.replace("candidate:", ""),
        HOST.replace("candidate:1 ", "candidate: "),
        HOST.replace("candidate:1 ", f"candidate:{'1' * 33} "),
        HOST.replace(":1 1 udp", ":1 0 udp"),
        HOST.replace(":1 1 udp", ":1 257 udp"),
        HOST.replace(":1 1 udp", ":1 -1 udp"),
        HOST.replace("udp", "sctp"),
        HOST.replace("udp", "tcp"),
        HOST.replace("udp", "tcp") + " tcptype sideways",
        HOST.replace("2130706431", "0"),
        HOST.replace("2130706431", "2147483648"),
        HOST.replace("2130706431", "1" * 5000),
        HOST.replace("5000", "65536"),
        HOST.replace("5000", "٣"),
        HOST.replace("192.0.2.1", "192.0.2.256"),
        HOST.replace("192.0.2.1", "a..b"),
        HOST.replace("192.0.2.1", "a" * 254),
        HOST.replace("typ", "type"),
        HOST.replace("host", "prefix"),
        HOST + " lonely",
        HOST + "  value",
        HOST + " raddr 192.0.2.1 rport many",
        HOST + " generation x",
        HOST + " x a\r\na=evil y z",
        HOST + " x y" * 33,
    ],
)
def test_malformed_candidates_are_refused(text: str) -> None:
    with pytest.raises(CandidateError):
        parse_candidate(text)


@given(st.text(alphabet=st.sampled_from(HOST + "%:[]ü\n\0 "), max_size=120))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        candidate = parse_candidate("candidate:" + text)
    except CandidateError:
        return
    assert parse_candidate(format_candidate(candidate)) == candidate
