"""Redirections and their loops, ports taken by older allocations, names with several addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from ice_client.turn import AllocationMismatchError, RedirectError, TurnServer, binding, open_relay
from ice_client.turn.open_session import MOST_MISMATCHES, MOST_REDIRECTIONS
from stun import Address, Message, MessageClass, Method
from stun import attributes as a
from stun.transaction import Timing
from tests.ice_client.turn.fake_server import FakeServer, Reply, error
from tests.ice_client.turn.servers import CREDENTIALS
from tests.ice_client.turn.wire import granted
from tests.interop.server_under_test import running_server


def at(address: Address) -> TurnServer:
    return TurnServer(address.host, address.port)


async def test_a_server_that_sends_its_client_back_to_itself_is_a_loop() -> None:
    here: list[Address] = []
    server = FakeServer(lambda *_: error(300, a.ALTERNATE_SERVER.of(here[0])))
    async with trio.open_nursery() as nursery:
        here.append(await nursery.start(server.serve))
        with trio.fail_after(10), pytest.raises(RedirectError, match="loop"):
            async with open_relay(at(here[0])):
                pytest.fail("allocated")
        nursery.cancel_scope.cancel()
    assert len(server.requests) == 1


async def test_two_servers_that_send_to_each_other_are_a_loop() -> None:
    addresses: list[Address] = []
    first = FakeServer(lambda *_: error(300, a.ALTERNATE_SERVER.of(addresses[1])))
    second = FakeServer(lambda *_: error(300, a.ALTERNATE_SERVER.of(addresses[0])))
    async with trio.open_nursery() as nursery:
        addresses += [await nursery.start(server.serve) for server in (first, second)]
        with trio.fail_after(10), pytest.raises(RedirectError, match="loop"):
            async with open_relay(at(addresses[0])):
                pytest.fail("allocated")
        nursery.cancel_scope.cancel()
    assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_a_chain_of_redirections_has_an_end() -> None:
    addresses: list[Address] = []
    servers = [
        FakeServer(lambda *_, n=n: error(300, a.ALTERNATE_SERVER.of(addresses[n + 1])))
        for n in range(MOST_REDIRECTIONS + 2)
    ]
    async with trio.open_nursery() as nursery:
        addresses += [await nursery.start(server.serve) for server in servers]
        with trio.fail_after(10), pytest.raises(RedirectError, match="more than"):
            async with open_relay(at(addresses[0])):
                pytest.fail("allocated")
        nursery.cancel_scope.cancel()
    asked = [len(server.requests) for server in servers]
    assert asked == [1] * (MOST_REDIRECTIONS + 1) + [0]


async def test_a_redirection_without_an_address_of_the_family_is_an_error() -> None:
    other = Address.parse("2001:db8::1", 3478)
    server = FakeServer(lambda *_: error(300, a.ALTERNATE_SERVER.of(other)))
    async with trio.open_nursery() as nursery:
        address = await nursery.start(server.serve)
        with trio.fail_after(10), pytest.raises(RedirectError, match="family"):
            async with open_relay(at(address)):
                pytest.fail("allocated")
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("mismatches", [1, MOST_MISMATCHES, MOST_MISMATCHES + 1])
async def test_a_port_with_an_older_allocation_is_left_for_another(mismatches: int) -> None:
    ports: list[int] = []

    def decide(request: Message, source: Address) -> Reply:
        if request.method == Method.REFRESH:
            return MessageClass.SUCCESS_RESPONSE, [a.LIFETIME.of(0)]
        ports.append(source.port)
        if len(ports) <= mismatches:
            return error(437)
        return MessageClass.SUCCESS_RESPONSE, granted(request)

    async with trio.open_nursery() as nursery:
        address = await nursery.start(FakeServer(decide).serve)
        with trio.fail_after(10):
            if mismatches <= MOST_MISMATCHES:
                async with open_relay(at(address)) as relay:
                    assert relay.local_address.port == ports[-1]
            else:
                with pytest.raises(AllocationMismatchError):
                    async with open_relay(at(address)):
                        pytest.fail("allocated")
        nursery.cancel_scope.cancel()
    assert len(ports) == len(set(ports)) == min(mismatches, MOST_MISMATCHES) + 1


async def test_a_name_is_tried_at_each_of_its_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path, hosts=["127.0.0.1"]) as server:
        port = server.plain_port

        async def resolve(*_: object, **__: object) -> tuple[Address, ...]:
            return (Address.parse("::1", port), Address.parse("127.0.0.1", port))

        monkeypatch.setattr("ice_client.turn.open_session.resolve_host", resolve)
        named = TurnServer("turn.example.org", port, credentials=CREDENTIALS)
        with trio.fail_after(20):
            async with open_relay(named) as relay:  # nobody listens on ::1
                assert relay.server_address.host == "127.0.0.1"


async def test_an_answer_to_a_binding_request_that_was_sent_again_has_no_round_trip_time() -> None:
    def decide(request: Message, source: Address) -> Reply:
        if len(server.requests) == 1:
            return None
        mapped = a.XOR_MAPPED_ADDRESS.of(source, request.transaction_id)
        return MessageClass.SUCCESS_RESPONSE, [mapped]

    server = FakeServer(decide)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(server.serve)
        with trio.fail_after(10):
            result = await binding(at(address), timing=Timing(rto=0.05))
        nursery.cancel_scope.cancel()
    assert result.mapped_address == result.local_address
    assert result.round_trip_time is None
    first, second = server.requests
    assert first[0].transaction_id == second[0].transaction_id


async def test_a_server_of_rfc_3489_tells_the_mapped_address_in_the_plain_form() -> None:
    def decide(_: Message, source: Address) -> Reply:
        return MessageClass.SUCCESS_RESPONSE, [a.MAPPED_ADDRESS.of(source)]

    async with trio.open_nursery() as nursery:
        address = await nursery.start(FakeServer(decide).serve)
        with trio.fail_after(10):
            result = await binding(at(address))
        nursery.cancel_scope.cancel()
    assert result.mapped_address == result.local_address


async def test_cancellation_before_any_answer_still_deletes_what_may_come() -> None:
    deleted = trio.Event()

    def decide(request: Message, _: Address) -> Reply:
        if request.method == Method.ALLOCATE:
            scope.cancel()
        elif request.get(a.LIFETIME) == 0:
            deleted.set()
        return None

    server = FakeServer(decide)
    async with trio.open_nursery() as nursery:
        address = await nursery.start(server.serve)
        with trio.move_on_after(10) as scope:
            async with open_relay(at(address)):
                pytest.fail("allocated")
        with trio.fail_after(10):
            await deleted.wait()
        nursery.cancel_scope.cancel()
    assert [request.method for request, _ in server.requests] == [Method.ALLOCATE, Method.REFRESH]
