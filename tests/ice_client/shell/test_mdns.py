"""Names of mDNS candidates are published and resolved on the link (RFC 6762)."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.rdataclass
import dns.rdatatype
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from ice_client import mdns_core
from ice_client.interfaces import local_addresses
from ice_client.mdns import is_mdns_name, open_mdns, random_name
from ice_client.mdns_core import (
    MAX_QUERIES,
    MAX_RECORDS,
    MdnsCore,
    MdnsError,
    MdnsTransmit,
    NameResolved,
)
from stun import Address
from tests.ice_client.shell.lab import two_hosts

NAME = "1f4712db-ea17-4bcf-a596-105139dfd8bf.local"
ADDRESS = Address.parse("192.0.2.7")
ADDRESS_6 = Address.parse("2001:db8::7")
SOMEONE = Address.parse("192.0.2.99", 5353)
# Captured from Chromium 156. The name in its NSEC record is compressed (RFC 6762 §18.14).
CHROMIUMS_ANSWER = bytes.fromhex(
    "000084000000000100000001"
    "2462366236346536652d303634392d346261392d393862382d303066393064323264356630056c6f63616c00"
    "0001 8001 00000078 0004 c6134822"
    "2462366236346536652d303634392d346261392d393862382d303066393064323264356630056c6f63616c00"
    "002f 8001 00000078 0005 c046000140"
)
RESOLVER = Address.parse("192.0.2.99", 40_000)


def sent(core: MdnsCore) -> list[bytes]:
    return [each.data for each in core.take_outputs() if isinstance(each, MdnsTransmit)]


@pytest.mark.parametrize("address", [ADDRESS, ADDRESS_6], ids=["ipv4", "ipv6"])
def test_a_question_is_answered_by_who_published_the_name(address: Address) -> None:
    asker, owner = MdnsCore(), MdnsCore()
    owner.publish(NAME, address, 0.0)
    owner.take_outputs()
    asker.query(NAME, 10.0)
    for question in sent(asker):
        owner.receive(question, SOMEONE, 10.0)
    (answer,) = sent(owner)
    asker.receive(answer, SOMEONE, 10.0)
    assert asker.take_outputs() == [NameResolved(NAME, (address,))]
    assert asker.next_deadline() is None


def test_names_are_compared_without_case() -> None:
    asker, owner = MdnsCore(), MdnsCore()
    owner.publish(NAME.upper(), ADDRESS, 0.0)
    (announcement,) = sent(owner)
    asker.query(NAME, 0.0)
    asker.take_outputs()
    asker.receive(announcement, SOMEONE, 0.0)
    assert asker.take_outputs() == [NameResolved(NAME, (ADDRESS,))]


def test_a_question_is_an_mdns_query_as_dnspython_reads_it() -> None:
    core = MdnsCore()
    core.query(NAME, 0.0)
    # One message for each type: Chromium does not read one with two questions.
    for data, rdtype in zip(sent(core), (dns.rdatatype.A, dns.rdatatype.AAAA), strict=True):
        message = dns.message.from_wire(data)
        assert (message.id, int(message.flags)) == (0, 0)
        (question,) = message.question
        assert (str(question.name), question.rdtype, int(question.rdclass)) == (
            NAME + ".",
            rdtype,
            1,
        )


def test_chromiums_answer_is_understood() -> None:
    core = MdnsCore()
    core.query("b6b64e6e-0649-4ba9-98b8-00f90d22d5f0.local", 0.0)
    core.take_outputs()
    core.receive(CHROMIUMS_ANSWER, SOMEONE, 0.0)
    assert core.take_outputs() == [
        NameResolved("b6b64e6e-0649-4ba9-98b8-00f90d22d5f0.local", (Address.parse("198.19.72.34"),))
    ]


def test_a_name_is_announced_twice_a_second_apart_with_the_cache_flush_bit() -> None:
    core = MdnsCore()
    core.publish(NAME, ADDRESS, 5.0)
    (first,) = sent(core)
    assert core.next_deadline() == 6.0
    core.on_deadline(6.0)
    assert sent(core) == [first]
    assert core.next_deadline() is None
    message = dns.message.from_wire(first)
    assert message.id == 0
    assert message.flags == dns.flags.QR | dns.flags.AA
    (rrset,) = message.answer
    assert (rrset.ttl, int(rrset.rdclass), rrset.rdtype) == (120, 0x8001, dns.rdatatype.A)
    assert [rdata.to_wire() for rdata in rrset] == [ADDRESS.packed]


def test_questions_are_asked_again_at_one_three_and_seven_seconds() -> None:
    core = MdnsCore()
    core.query(NAME, 0.0)
    times = []
    for _ in range(3):
        deadline = core.next_deadline()
        assert deadline is not None
        core.take_outputs()
        core.on_deadline(deadline)
        assert len(sent(core)) == 2
        times.append(deadline)
    assert times == [1.0, 3.0, 7.0]


def test_a_record_is_multicast_once_a_second_however_often_it_is_asked_for() -> None:
    asker, owner = MdnsCore(), MdnsCore()
    owner.publish(NAME, ADDRESS, 0.0)
    asker.query(NAME, 0.0)
    question, _ = sent(asker)
    owner.take_outputs()
    for time in (0.5, 1.1, 1.2, 2.0, 2.2):
        owner.receive(question, SOMEONE, time)
    assert len(sent(owner)) == 2  # at 1.1 and at 2.2


def test_a_legacy_resolver_gets_its_own_answer_with_its_id_and_question() -> None:
    owner = MdnsCore()
    owner.publish(NAME, ADDRESS, 0.0)
    owner.take_outputs()
    query = dns.message.make_query(NAME, "A")
    owner.receive(query.to_wire(), RESOLVER, 0.0)
    (output,) = owner.take_outputs()
    assert isinstance(output, MdnsTransmit)
    assert output.destination == RESOLVER
    message = dns.message.from_wire(output.data)
    assert message.id == query.id
    assert message.question == query.question
    assert message.answer[0].ttl <= 10
    assert [str(rdata) for rdata in message.answer[0]] == ["192.0.2.7"]


def test_who_asks_for_a_unicast_answer_gets_one() -> None:
    owner = MdnsCore()
    owner.publish(NAME, ADDRESS, 0.0)
    owner.take_outputs()
    unicast = dns.rdataclass.RdataClass.make(0x8001)
    query = dns.message.make_query(NAME, "A", unicast, id=0, flags=0)
    owner.receive(query.to_wire(), SOMEONE, 0.0)
    (output,) = owner.take_outputs()
    assert isinstance(output, MdnsTransmit)
    assert output.destination == SOMEONE


@pytest.mark.parametrize("source", [RESOLVER], ids=["not from port 5353"])
def test_an_answer_from_another_port_is_dropped(source: Address) -> None:
    owner, asker = MdnsCore(), MdnsCore()
    owner.publish(NAME, ADDRESS, 0.0)
    (announcement,) = sent(owner)
    asker.query(NAME, 0.0)
    asker.take_outputs()
    asker.receive(announcement, source, 0.0)
    assert asker.take_outputs() == []


def test_a_withdrawn_name_is_said_goodbye_to_and_answered_for_no_more() -> None:
    owner, asker = MdnsCore(), MdnsCore()
    owner.publish(NAME, ADDRESS, 0.0)
    owner.take_outputs()
    owner.withdraw(NAME)
    (goodbye,) = sent(owner)
    assert dns.message.from_wire(goodbye).answer[0].ttl == 0
    asker.query(NAME, 9.0)
    question, _ = sent(asker)
    asker.receive(goodbye, SOMEONE, 9.0)
    assert asker.take_outputs() == []
    owner.receive(question, SOMEONE, 9.0)
    assert owner.take_outputs() == []
    assert owner.next_deadline() is None


def test_a_link_local_address_gets_the_scope_it_was_heard_on() -> None:
    owner, asker = MdnsCore(), MdnsCore()
    owner.publish(NAME, Address.parse("fe80::7"), 0.0)
    (announcement,) = sent(owner)
    asker.query(NAME, 0.0)
    asker.take_outputs()
    asker.receive(announcement, Address(ADDRESS_6.packed, 5353, 4), 0.0)
    assert asker.take_outputs() == [NameResolved(NAME, (Address.parse("fe80::7%4"),))]


@pytest.mark.parametrize("name", ["example.org", "local", "a.b.local", "", "x" * 64 + ".local"])
def test_only_names_directly_under_local_are_asked_for(name: str) -> None:
    with pytest.raises(MdnsError):
        MdnsCore().query(name, 0.0)


def test_names_asked_for_and_published_are_bounded() -> None:
    core = MdnsCore()
    for number in range(MAX_QUERIES):
        core.query(f"q{number}.local", 0.0)
    with pytest.raises(MdnsError):
        core.query("one-more.local", 0.0)
    for number in range(MAX_RECORDS):
        core.publish(f"r{number}.local", ADDRESS, 0.0)
    with pytest.raises(MdnsError):
        core.publish("one-more.local", ADDRESS, 0.0)


def _busy_core() -> MdnsCore:
    core = MdnsCore()
    core.publish(NAME, ADDRESS, 0.0)
    core.query(NAME, 0.0)
    core.take_outputs()
    return core


def _messages() -> list[bytes]:
    core = MdnsCore()
    core.publish(NAME, ADDRESS, 0.0)
    core.query(NAME, 0.0)
    return sent(core)


@given(st.sampled_from(_messages()), st.data())
def test_no_bytes_make_the_core_fail(message: bytes, data: st.DataObject) -> None:
    mutated = bytearray(message)
    for _ in range(data.draw(st.integers(1, 6))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(mutated)))
    core = _busy_core()
    core.receive(bytes(mutated), SOMEONE, 5.0)
    core.receive(bytes(mutated[:cut]), RESOLVER, 5.0)


def test_a_random_name_is_an_mdns_name_and_others_are_not() -> None:
    assert is_mdns_name(random_name())
    assert is_mdns_name("X.LOCAL.")
    assert not is_mdns_name("local.example.org")
    assert random_name() != random_name()


@pytest.mark.parametrize("address", ["10.99.0.1", "fd99::1"])
async def test_a_name_published_on_one_host_is_resolved_on_another(address: str) -> None:
    with two_hosts() as hosts:
        published = trio.Event()
        token = trio.lowlevel.current_trio_token()

        async def publisher() -> None:
            over = trio.Event()
            overs.append((trio.lowlevel.current_trio_token(), over))
            async with open_mdns(await local_addresses()) as mdns:
                await mdns.publish(NAME, Address.parse(address))
                token.run_sync_soon(published.set)
                await over.wait()

        async def resolver() -> list[tuple[Address, ...]]:
            async with open_mdns(await local_addresses()) as mdns:
                answers = []

                async def ask(name: str, timeout: float) -> None:
                    answers.append(await mdns.resolve(name, timeout))

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask, NAME, 5)
                    nursery.start_soon(ask, NAME.upper() + ".", 5)
                answers.append(await mdns.resolve("nobody.local", 0.1))
                return answers

        overs: list[tuple[trio.lowlevel.TrioToken, trio.Event]] = []
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hosts[0].run, publisher)
                await published.wait()
                try:
                    expected = (Address.parse(address),)
                    assert await hosts[1].run(resolver) == [expected, expected, ()]
                finally:
                    for its_token, over in overs:
                        its_token.run_sync_soon(over.set)


async def test_where_no_interface_speaks_multicast_opening_says_so() -> None:
    with pytest.raises(MdnsError):
        async with open_mdns([]):
            pass


def test_the_constants_are_the_rfcs() -> None:
    assert (mdns_core.MDNS_PORT, mdns_core.TTL) == (5353, 120)
