"""A DNS server on loopback that says what a test wants."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trio

from ice_client.check.probe_dns import NameServer

Zone = Mapping[tuple[str, str], list[str]]
"""Record texts by name (without the last dot) and type."""


@contextlib.asynccontextmanager
async def name_server(
    zone: Zone, rcode: dns.rcode.Rcode = dns.rcode.NOERROR
) -> AsyncIterator[NameServer]:
    """Answer from a zone; names that are not in it do not exist.

    Args:
        zone: the records.
        rcode: answer everything with this instead, unless NOERROR.

    """
    names = {name for name, _ in zone}
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))

        async def serve() -> None:
            while True:
                data, client = await sock.recvfrom(2048)
                query = dns.message.from_wire(data)
                answer = dns.message.make_response(query)
                question = query.question[0]
                name = question.name.to_text(omit_final_dot=True)
                kind = dns.rdatatype.to_text(question.rdtype)
                if rcode != dns.rcode.NOERROR:
                    answer.set_rcode(rcode)
                elif name not in names:
                    answer.set_rcode(dns.rcode.NXDOMAIN)
                else:
                    for text in zone.get((name, kind), []):
                        answer.answer.append(
                            dns.rrset.from_text(question.name, 60, "IN", kind, text)
                        )
                await sock.sendto(answer.to_wire(), client)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield NameServer(*sock.getsockname())
            nursery.cancel_scope.cancel()
