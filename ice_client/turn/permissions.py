"""The permissions a client keeps (RFC 8656 §9, §10): asked for, and refreshed before they end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import attrs

from ice_client.turn.deadlines import Deadlines
from ice_client.turn.errors import (
    ResponseError,
    TooManyPeersError,
    TurnClientError,
)
from ice_client.turn.options import peer_attribute
from ice_client.turn.outputs import Done, Failed, Output, PermissionLost
from stun import Address, ErrorCode, Message, Method, RawAttribute

PERMISSION_LIFETIME = 300.0
"""Seconds (RFC 8656 §9)."""
REFRESH_MARGIN = 60.0
"""Seconds before a lifetime's end at which to refresh: more than a transaction can take
(RFC 8489 §6.2.1: 39.5 s)."""
MOST_PERMISSIONS = 512
MOST_PEERS_PER_REQUEST = 16
"""Sixteen IPv6 addresses and a long credential still fit a datagram of 1,200 bytes."""
_TOGETHER = 20.0
"""Seconds: what is to be refreshed so soon after another goes into the same request."""

_OF_ONE = {
    ErrorCode.BAD_REQUEST,
    ErrorCode.FORBIDDEN,
    ErrorCode.PEER_ADDRESS_FAMILY_MISMATCH,
    ErrorCode.INSUFFICIENT_CAPACITY,
}
"""Errors that one peer among several may be to blame for (RFC 8656 §10.2)."""

StartRequest = Callable[[Method, Callable[[bytes], Sequence[RawAttribute]], object, float], None]


@attrs.frozen(slots=True)
class PermissionPurpose:
    """Why a CreatePermission request was sent: for these IP addresses."""

    hosts: tuple[bytes, ...]


@attrs.define(slots=True, eq=False)
class _Permission:
    installed: bool = False
    under_way: bool = False
    refresh_at: float = 0.0
    operations: list[_Operation] = attrs.field(factory=list)


@attrs.define(slots=True, eq=False)
class _Operation:
    number: int
    waiting: set[bytes]
    error: TurnClientError | None = None
    response: Message | None = None


class Permissions:
    """Permissions by peer IP address.

    Args:
        start: sends a request for a purpose.
        deadlines: where refreshes are scheduled, under ``("permission", packed)``.
        outputs: where results are queued.

    """

    def __init__(self, start: StartRequest, deadlines: Deadlines, outputs: deque[Output]) -> None:
        self._start = start
        self._deadlines = deadlines
        self._outputs = outputs
        self._permissions: dict[bytes, _Permission] = {}

    def is_installed(self, packed: bytes) -> bool:
        """Whether data may be sent to that IP address. Per packet."""
        permission = self._permissions.get(packed)
        return permission is not None and permission.installed

    def is_expected(self, packed: bytes) -> bool:
        """Whether data from that IP address may come.

        It may before the answer to CreatePermission does, which datagrams can overtake.
        """
        return packed in self._permissions

    def permit(self, operation: int, peers: Iterable[Address], now: float) -> None:
        """Ask for permissions, all of them or those that are not there yet.

        Raises:
            TooManyPeersError: there are `MOST_PERMISSIONS` already.

        """
        hosts = {peer.packed for peer in peers}
        missing = [packed for packed in hosts if not self.is_installed(packed)]
        new = [packed for packed in missing if packed not in self._permissions]
        if len(self._permissions) + len(new) > MOST_PERMISSIONS:
            raise TooManyPeersError(f"permissions for {MOST_PERMISSIONS} peers are kept at most")
        if not missing:
            self._outputs.append(Done(operation))
            return
        waiting = _Operation(operation, set(missing))
        for packed in missing:
            self._permissions.setdefault(packed, _Permission()).operations.append(waiting)
        self._request([p for p in missing if not self._permissions[p].under_way], now)

    def refreshed(self, packed: bytes, now: float) -> None:
        """Take note that a ChannelBind installed or refreshed it (RFC 8656 §12.2)."""
        self._install(packed, now)

    def forget(self, peer: Address) -> None:
        """Let a permission end by itself: refresh it no more."""
        self._permissions.pop(peer.packed, None)
        self._deadlines.set(("permission", peer.packed), None)

    def on_deadline(self, packed: bytes, now: float) -> None:
        """Refresh a permission, and with it those that are due soon after."""
        due = [
            host
            for host, permission in self._permissions.items()
            if permission.installed
            and not permission.under_way
            and (host == packed or permission.refresh_at <= now + _TOGETHER)
        ]
        self._request(due, now)

    def answered(
        self,
        purpose: PermissionPurpose,
        response: Message | None,
        error: TurnClientError | None,
        now: float,
    ) -> None:
        """Take the outcome of a CreatePermission request."""
        hosts = [packed for packed in purpose.hosts if packed in self._permissions]
        for packed in hosts:
            self._permissions[packed].under_way = False
        if error is None:
            for packed in hosts:
                self._install(packed, now, response)
            return
        if len(purpose.hosts) > 1 and isinstance(error, ResponseError) and error.code in _OF_ONE:
            # RFC 8656 §10.2: one peer that is not allowed refuses them all. One by one, then.
            for packed in hosts:
                self._request([packed], now)
            return
        for packed in hosts:
            self._refused(packed, error)

    def _request(self, hosts: Sequence[bytes], now: float) -> None:
        for index in range(0, len(hosts), MOST_PEERS_PER_REQUEST):
            batch = tuple(hosts[index : index + MOST_PEERS_PER_REQUEST])
            for packed in batch:
                self._permissions[packed].under_way = True
                self._deadlines.set(("permission", packed), None)

            def attributes(
                transaction_id: bytes, batch: tuple[bytes, ...] = batch
            ) -> list[RawAttribute]:
                # RFC 8656 §9: the port is ignored.
                return [peer_attribute(Address(packed, 0), transaction_id) for packed in batch]

            self._start(Method.CREATE_PERMISSION, attributes, PermissionPurpose(batch), now)

    def _install(self, packed: bytes, now: float, response: Message | None = None) -> None:
        permission = self._permissions.setdefault(packed, _Permission())
        permission.installed = True
        permission.refresh_at = now + PERMISSION_LIFETIME - REFRESH_MARGIN
        self._deadlines.set(("permission", packed), permission.refresh_at)
        for operation in permission.operations:
            operation.response = response
            self._settle(operation, packed)
        permission.operations.clear()

    def _refused(self, packed: bytes, error: TurnClientError) -> None:
        permission = self._permissions.pop(packed)
        if permission.installed:
            self._outputs.append(PermissionLost(Address(packed, 0), error))
        for operation in permission.operations:
            operation.error = operation.error or error
            self._settle(operation, packed)

    def _settle(self, operation: _Operation, packed: bytes) -> None:
        operation.waiting.discard(packed)
        if operation.waiting:
            return
        if operation.error is None:
            self._outputs.append(Done(operation.number, operation.response))
        else:
            self._outputs.append(Failed(operation.number, operation.error))
