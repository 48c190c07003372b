"""Asking STUN servers from an agent's own sockets what those look like from outside.

RFC 8445 §5.1.1.2: the mapped address is that of the very socket that asked, so the answers come
in between checks and data, and are told from them by their transaction id.
"""

from __future__ import annotations

import math
import secrets

import attrs
import trio

from ice_client.endpoint import Endpoint
from ice_client.errors import IceError
from stun import Address, DecodeError, Message, MessageClass, Method
from stun import attributes as a
from stun.constants import TRANSACTION_ID_SIZE
from stun.transaction import ClientTransaction, TransactionState

_ID = slice(20 - TRANSACTION_ID_SIZE, 20)


class BindingError(IceError):
    """A STUN server did not tell the mapped address; the message says why."""


@attrs.define(slots=True, eq=False)
class _Query:
    server: Address
    transaction: ClientTransaction
    answered: trio.Event = attrs.field(factory=trio.Event)


class BindingQueries:
    """The Binding requests to servers that are under way, of all sockets of one agent."""

    def __init__(self) -> None:
        self._pending: dict[bytes, _Query] = {}

    async def ask(self, endpoint: Endpoint, server: Address) -> Address:
        """Return the address that the server sees the endpoint's socket at.

        Gives up after 39.5 s (RFC 8489 §6.2.1); the caller may before, by cancelling.

        Raises:
            BindingError: there was no answer, or none of use.

        """
        transaction_id = secrets.token_bytes(TRANSACTION_ID_SIZE)
        request = Message.build(Method.BINDING, MessageClass.REQUEST, transaction_id)
        transaction = ClientTransaction(request.encode(fingerprint=True), transaction_id)
        query = self._pending[transaction_id] = _Query(server, transaction)
        try:
            packet: bytes | None = transaction.start(trio.current_time())
            while transaction.state is TransactionState.WAITING:
                if packet is not None and not endpoint.send_now(packet, server):
                    raise BindingError(f"{server} cannot be reached from {endpoint.base}")
                with trio.move_on_at(transaction.next_deadline() or math.inf):
                    await query.answered.wait()
                packet = transaction.on_deadline(trio.current_time())
        finally:
            del self._pending[transaction_id]
        return _mapped_address(server, transaction.response)

    def receive(self, data: bytes, source: Address) -> bool:
        """Take a packet; return whether it was a server's answer. Runs per packet."""
        if not self._pending:
            return False
        query = self._pending.get(data[_ID])
        # A third party can't guess the id; the source is compared all the same, as a peer could
        # answer what it saw pass by.
        if query is None or query.server != source:
            return False
        try:
            message = Message.decode(data)
        except DecodeError:
            return False
        if not query.transaction.receive(message, trio.current_time()):
            return False
        query.answered.set()
        return True


def _mapped_address(server: Address, response: Message | None) -> Address:
    if response is None:
        raise BindingError(f"{server} did not answer")
    try:
        if response.message_class is MessageClass.ERROR_RESPONSE:
            error = response.get(a.ERROR_CODE)
            raise BindingError(f"{server} answered {error.code if error else 'with an error'}")
        mapped = response.get(a.XOR_MAPPED_ADDRESS) or response.get(a.MAPPED_ADDRESS)
    except DecodeError as malformed:
        raise BindingError(f"{server} answered what does not decode: {malformed}") from malformed
    if mapped is None:
        raise BindingError(f"{server} told no mapped address")
    return mapped
