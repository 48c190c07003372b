"""Servers that answer nonsense: a report comes all the same, and nothing of it gets out of hand."""

from __future__ import annotations

import json
import random
import socket
import struct
import xml.etree.ElementTree as ET

import pytest
import trio

from ice_client.check.probe_nat import probe_nat
from ice_client.check.probe_tls import probe_tls
from ice_client.check.redact import redact
from ice_client.check.report_data import to_json, to_junit
from ice_client.check.report_html import to_html
from ice_client.check.report_text import to_markdown
from stun import Address, Message, MessageClass
from stun import attributes as a
from stun.values import Error
from tests.ice_client.check.fake_server import bound, error, fake_server, success
from tests.ice_client.check.kit import QUICK, check

CODES = sorted(a.REGISTRY)


@pytest.mark.parametrize("seed", range(12))
async def test_any_attributes_in_any_response_end_in_a_report(seed: int) -> None:
    dice = random.Random(seed)

    def script(request: Message, client: Address) -> Message | None:
        if request.method == 1 and dice.random() < 0.7:
            return bound(request, client)
        kind = dice.choice([MessageClass.SUCCESS_RESPONSE, MessageClass.ERROR_RESPONSE])
        attributes = [
            (dice.choice(CODES), dice.randbytes(dice.choice([0, 1, 4, 8, 12, 20, 32])))
            for _ in range(dice.randrange(6))
        ]
        attributes = [each for each in attributes if each[0] not in {0x8028, 0x0008, 0x001C}]
        return Message.build(request.method, kind, request.transaction_id, attributes)

    async with fake_server(script) as server:
        with trio.fail_after(60):
            report = await check(
                f"turn:127.0.0.1:{server.port}", username="u", password="p", options=QUICK
            )
    assert report.rows
    assert json.loads(to_json(report))["rows"]
    ET.fromstring(to_junit(report))
    assert "</html>" in to_html(report)
    assert "127.0.0.1" not in to_markdown(redact(report, ["u", "p"]))


async def test_reason_phrase_that_would_be_markup_stays_text() -> None:
    reason = "<img src=x>|\x00\x1b[31m\n# no"

    def script(request: Message, client: Address) -> Message:
        if request.method == 1:
            return bound(request, client)
        answer = error(request, 500)
        return Message.build(
            answer.method,
            answer.message_class,
            answer.transaction_id,
            [a.ERROR_CODE.of(Error(500, reason))],
        )

    async with fake_server(script) as server:
        report = await check(
            f"turn:127.0.0.1:{server.port}?transport=udp", username="u", password="p"
        )
    assert "<img" not in to_html(report)
    assert "<img" not in to_markdown(report)
    assert "\n# no" not in to_markdown(report)
    assert "\x1b" not in "".join(stage.detail for row in report.rows for stage in row.stages)
    ET.fromstring(to_junit(report))


async def test_other_address_of_the_other_family_is_not_used() -> None:
    def script(request: Message, client: Address) -> Message:
        other = a.OTHER_ADDRESS.of(Address.parse("2001:db8::1", 3479))
        mapped = a.XOR_MAPPED_ADDRESS.of(client.with_port(9), request.transaction_id)
        return success(request, mapped, other)

    async with fake_server(script) as server:
        result = await probe_nat(Address.parse("127.0.0.1", server.port))
    assert not result.offered
    assert result.mapping is None


async def test_tls_port_that_resets_shows_nothing() -> None:
    async def reset(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        # Linger of no time: closing sends RST.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, reset, [listener])
        address = Address.from_sockaddr(listener.socket.getsockname())
        with trio.fail_after(20):
            assert await probe_tls(address, "turn.example.org", 0.0) is None
        nursery.cancel_scope.cancel()
