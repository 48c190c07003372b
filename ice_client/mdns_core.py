"""The part of multicast DNS that ICE's candidates need, without sockets (RFC 6762).

A browser that hides its host's addresses writes `UUID.local` in their place and answers for that
name on the link (draft-ietf-mmusic-mdns-ice-candidates). So: publish a name with one address,
and ask for a name's addresses. No probing, as a random UUID is nobody else's; no service
discovery, no known answers. `ice_client.mdns` gives it sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from ice_client.errors import IceError
from stun import Address, Family

MDNS_PORT = 5353
TTL = 120
"""Seconds a host name's addresses are good for (RFC 6762 §10)."""
LEGACY_TTL = 10
"""Seconds, to a resolver that knows nothing of mDNS (§6.7)."""
ANNOUNCEMENTS = 2
ANNOUNCE_INTERVAL = 1.0
"""Seconds (§8.3)."""
QUERY_INTERVAL = 1.0
"""Seconds between the first two queries; then it doubles (§5.2)."""
RESPONSE_INTERVAL = 1.0
"""Seconds before a record is multicast again (§6): many questions are few answers."""
MAX_RECORDS = 64
MAX_QUERIES = 64
MAX_ADDRESSES = 8
"""Addresses taken from one response. A candidate's name has one."""
MAX_MESSAGE = 9000
"""Bytes (§17)."""

_CACHE_FLUSH = 0x8000
_UNICAST_RESPONSE = 0x8000
_TYPES = {Family.IPV4: dns.rdatatype.A, Family.IPV6: dns.rdatatype.AAAA}
_SIZES = {dns.rdatatype.A: 4, dns.rdatatype.AAAA: 16}
_LOCAL = dns.name.from_text("local.")


class MdnsError(IceError):
    """A name that is not under `.local`, or more names at once than are allowed."""


@attrs.frozen(slots=True)
class MdnsTransmit:
    """A message to send; to the group on every interface if `destination` is None."""

    data: bytes
    destination: Address | None = None


@attrs.frozen(slots=True)
class NameResolved:
    """Someone answered for a name that was asked for. The addresses have port 0."""

    name: str
    addresses: tuple[Address, ...]


MdnsOutput = MdnsTransmit | NameResolved


@attrs.define(slots=True)
class _Record:
    name: dns.name.Name
    address: Address
    announcements_left: int
    deadline: float
    multicast_at: float = float("-inf")


@attrs.define(slots=True)
class _Query:
    name: dns.name.Name
    deadline: float
    interval: float = QUERY_INTERVAL


class MdnsCore:
    """Records that are answered for and names that are asked for. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}
        self._queries: dict[str, _Query] = {}
        self._outputs: deque[MdnsOutput] = deque()

    def publish(self, name: str, address: Address, now: float) -> None:
        """Announce a name's address and answer for it from now on.

        Raises:
            MdnsError: the name is not under `.local`, or there are `MAX_RECORDS`.

        """
        key, parsed = _local_name(name)
        if key not in self._records and len(self._records) >= MAX_RECORDS:
            raise MdnsError(f"{MAX_RECORDS} names are published already")
        self._records[key] = _Record(parsed, address, ANNOUNCEMENTS, now)
        self.on_deadline(now)

    def withdraw(self, name: str) -> None:
        """Answer for a name no more, and say so (§10.1: a TTL of 0)."""
        record = self._records.pop(_local_name(name)[0], None)
        if record is not None:
            self._outputs.append(MdnsTransmit(_response([record], ttl=0)))

    def withdraw_all(self) -> None:
        """Answer for no name any more, and say so."""
        if self._records:
            self._outputs.append(MdnsTransmit(_response(self._records.values(), ttl=0)))
            self._records.clear()

    def query(self, name: str, now: float) -> None:
        """Ask for a name until an answer comes or `stop_query`.

        The delay of 20 to 120 ms that §5.2 asks for keeps hosts from speaking all at once after
        an event that they all saw; a candidate was signalled to this host alone.

        Raises:
            MdnsError: the name is not under `.local`, or `MAX_QUERIES` are under way.

        """
        key, parsed = _local_name(name)
        if key in self._queries:
            return
        if len(self._queries) >= MAX_QUERIES:
            raise MdnsError(f"{MAX_QUERIES} names are being asked for already")
        self._queries[key] = _Query(parsed, now)
        self.on_deadline(now)

    def stop_query(self, name: str) -> None:
        """Ask no more for a name."""
        self._queries.pop(_local_name(name)[0], None)

    def next_deadline(self) -> float | None:
        """Return when to call `on_deadline`; None if there is nothing to wait for."""
        pending = [query.deadline for query in self._queries.values()]
        pending += [each.deadline for each in self._records.values() if each.announcements_left]
        return min(pending, default=None)

    def on_deadline(self, now: float) -> None:
        """Ask and announce what is due."""
        for query in self._queries.values():
            if query.deadline <= now:
                self._outputs.extend(map(MdnsTransmit, _questions(query.name)))
                query.deadline = now + query.interval
                query.interval *= 2
        for record in self._records.values():
            if record.announcements_left and record.deadline <= now:
                record.announcements_left -= 1
                record.deadline = now + ANNOUNCE_INTERVAL
                record.multicast_at = now
                self._outputs.append(MdnsTransmit(_response([record])))

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a message that came to port 5353 from this link; what is no mDNS is dropped."""
        message = _decode(data)
        if message is None or message.opcode() != 0 or message.rcode() != 0:
            return
        if message.flags & dns.flags.QR:
            # §6: a response from another port is no mDNS response.
            if source.port == MDNS_PORT:
                self._take_answers(message, source)
        else:
            self._answer(message, source, now)

    def take_outputs(self) -> list[MdnsOutput]:
        """Return what is to be done, in order, and forget it."""
        outputs = list(self._outputs)
        self._outputs.clear()
        return outputs

    def _take_answers(self, message: dns.message.Message, source: Address) -> None:
        found: dict[str, list[Address]] = {}
        for rrset in [*message.answer, *message.additional]:
            key = _key(rrset.name)
            if rrset.ttl == 0 or rrset.rdclass & ~_CACHE_FLUSH != dns.rdataclass.IN:
                continue
            if key in self._queries and rrset.rdtype in _SIZES:
                size = _SIZES[rrset.rdtype]
                packed = [rdata.to_wire() or b"" for rdata in rrset]
                found.setdefault(key, []).extend(
                    _in_scope(each, source) for each in packed if len(each) == size
                )
        for key, addresses in found.items():
            if addresses:
                del self._queries[key]
                self._outputs.append(NameResolved(key, tuple(addresses[:MAX_ADDRESSES])))

    def _answer(self, message: dns.message.Message, source: Address, now: float) -> None:
        is_legacy = source.port != MDNS_PORT
        multicast: list[_Record] = []
        for question in message.question:
            record = self._records.get(_key(question.name))
            if record is None or not _asks_for(question, record):
                continue
            if is_legacy:
                data = _response([record], ttl=LEGACY_TTL, legacy=message)
                self._outputs.append(MdnsTransmit(data, source))
            elif question.rdclass & _UNICAST_RESPONSE:
                self._outputs.append(MdnsTransmit(_response([record]), source))
            elif now - record.multicast_at >= RESPONSE_INTERVAL and record not in multicast:
                record.multicast_at = now
                multicast.append(record)
        if multicast:
            self._outputs.append(MdnsTransmit(_response(multicast)))


def _local_name(name: str) -> tuple[str, dns.name.Name]:
    try:
        parsed = dns.name.from_text(name)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise MdnsError(f"{name!r} is not a host name") from error
    # One label before `.local`: ICE's names have no more, and others are not ours to answer.
    if len(parsed.labels) != 3 or not parsed.is_subdomain(_LOCAL):
        raise MdnsError(f"{name!r} is not a name directly under .local")
    return _key(parsed), parsed


def _key(name: dns.name.Name) -> str:
    return str(name.canonicalize().to_text(omit_final_dot=True))


def _in_scope(packed: bytes, source: Address) -> Address:
    is_link_local = len(packed) == 16 and packed[0] == 0xFE and packed[1] & 0xC0 == 0x80
    return Address(packed, 0, source.scope if is_link_local else 0)


def _asks_for(question: dns.rrset.RRset, record: _Record) -> bool:
    if question.rdclass & ~_UNICAST_RESPONSE not in {dns.rdataclass.IN, dns.rdataclass.ANY}:
        return False
    return question.rdtype in {_TYPES[record.address.family], dns.rdatatype.ANY}


def _decode(data: bytes) -> dns.message.Message | None:
    if len(data) > MAX_MESSAGE:
        return None
    try:
        # Records that can't be read are left out. Chromium compresses the name within its NSEC, as
        # RFC 6762 §18.14 has it, and dnspython goes by RFC 4034, which forbids that.
        return dns.message.from_wire(data, ignore_trailing=True, continue_on_error=True)
    except (dns.exception.DNSException, ValueError):
        return None


def _questions(name: dns.name.Name) -> list[bytes]:
    # A message for each: Chromium does not read one that asks for both (seen in 156).
    messages = []
    for rdtype in _TYPES.values():
        message = dns.message.Message(id=0)
        message.flags = dns.flags.Flag(0)
        message.question = [dns.rrset.RRset(name, dns.rdataclass.IN, rdtype)]
        messages.append(message.to_wire(max_size=MAX_MESSAGE))
    return messages


def _response(
    records: Iterable[_Record], *, ttl: int = TTL, legacy: dns.message.Message | None = None
) -> bytes:
    # §6.7: a legacy resolver wants its own id and question back, and has no cache-flush bit.
    message = dns.message.Message(id=legacy.id if legacy else 0)
    message.flags = dns.flags.QR | dns.flags.AA
    if legacy:
        message.question = list(legacy.question)
    rdclass = dns.rdataclass.RdataClass.make(
        dns.rdataclass.IN if legacy else dns.rdataclass.IN | _CACHE_FLUSH
    )
    for record in records:
        rdtype = _TYPES[record.address.family]
        rdata = dns.rdata.GenericRdata(rdclass, rdtype, record.address.packed)
        message.answer.append(dns.rrset.from_rdata(record.name, ttl, rdata))
    return message.to_wire(max_size=MAX_MESSAGE)
