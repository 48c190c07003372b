"""Tells apart why credentials are refused: servers answer 401 to everything, on purpose.

What can still be told: whether the user name carries a time that is over, whether a minted
credential is taken when it is good for longer (a clock that is ahead), whether the realm is
the expected one, and whether the server calls every nonce stale. Also asked is what should
be refused: no credentials at all, and an expired one.
"""

from __future__ import annotations

import attrs
import trio

from ice_client.check.exchange import TIMING, ask, text_of
from ice_client.check.probe_way import server_of
from ice_client.check.results import CredentialResult, CredentialState, Row
from ice_client.check.target import ORDINARY_VALIDITY, Target, Way, expiry_of
from ice_client.errors import IceError
from ice_client.turn import (
    AuthenticationError,
    Credentials,
    IntegrityViolationError,
    ResponseError,
    StaleNonceError,
    open_relay,
)
from ice_client.turn.open_link import open_link
from ice_client.turn.options import UDP
from stun import Address, ErrorCode, Message, MessageClass, Method, StunError
from stun import attributes as a

SKEWS = (86_400.0, 10 * 86_400.0, 400 * 86_400.0, 10 * 365 * 86_400.0)
"""Validities to try when an ordinary one is refused, seconds: a clock is hours or years off."""
EXPIRED = -3600.0
TIMEOUT = 15.0
"""Seconds for all of it."""


async def probe_credentials(
    target: Target, way: Way, wall_time: float, row: Row
) -> CredentialResult:
    """Say how authentication goes over a way that answers Binding.

    Args:
        target: with the credentials.
        way: which server.
        wall_time: seconds since the epoch, by this machine.
        row: what became of the way.

    """
    with trio.move_on_after(TIMEOUT):
        try:
            return await _Probe(target, way, wall_time, row.label).run()
        except (IceError, StunError) as error:
            return CredentialResult(row.label, CredentialState.NOT_TOLD, detail=str(error))
    return CredentialResult(row.label, CredentialState.NOT_TOLD, detail="no answer in time")


@attrs.define(slots=True)
class _Probe:
    target: Target
    way: Way
    wall_time: float
    label: str

    async def run(self) -> CredentialResult:
        challenge = await self._without_credentials()
        result = CredentialResult(
            self.label,
            CredentialState.NOT_TOLD,
            realm=text_of(challenge, a.REALM),
            expected_realm=self.target.realm,
        )
        if challenge.message_class is MessageClass.SUCCESS_RESPONSE:
            return attrs.evolve(result, state=CredentialState.NOT_NEEDED, open_relay=True)
        result = attrs.evolve(result, open_relay=False)
        error = challenge.get(a.ERROR_CODE)
        if error is None or error.code != ErrorCode.UNAUTHENTICATED:
            return attrs.evolve(result, detail=f"the challenge was {error and error.code}")
        if result.realm is None or not challenge.has(a.NONCE):
            return attrs.evolve(result, state=CredentialState.BAD_CHALLENGE)
        credentials = self.target.credentials(self.wall_time)
        if credentials is None:
            return attrs.evolve(result, state=CredentialState.NONE_GIVEN)
        return await self._with_credentials(result, credentials)

    async def _with_credentials(
        self, result: CredentialResult, credentials: Credentials
    ) -> CredentialResult:
        refusal = await self._refusal(credentials)
        if isinstance(refusal, StaleNonceError):
            return attrs.evolve(result, state=CredentialState.STALE_NONCE_LOOP, detail=str(refusal))
        if refusal is None:
            taken = None
            if self.target.secret is not None:
                expired = self.target.credentials(self.wall_time, EXPIRED)
                taken = expired is not None and await self._refusal(expired) is None
            return attrs.evolve(result, state=CredentialState.ACCEPTED, expired_accepted=taken)
        if not _is_authentication(refusal):
            # Quota, capacity: the credentials have been believed.
            return attrs.evolve(result, state=CredentialState.ACCEPTED, detail=str(refusal))
        return await self._why(result)

    async def _why(self, result: CredentialResult) -> CredentialResult:
        if result.expected_realm is not None and result.expected_realm != result.realm:
            detail = f"expected {result.expected_realm}, the server says {result.realm}"
            return attrs.evolve(result, state=CredentialState.WRONG_REALM, detail=detail)
        if self.target.secret is not None:
            return await self._secret_or_clock(result)
        expiry = expiry_of(self.target.username or "")
        if expiry is None:
            return attrs.evolve(result, state=CredentialState.REFUSED)
        left = expiry - self.wall_time
        if left <= 0:
            detail = f"{_duration(-left)} ago by this machine's clock"
            return attrs.evolve(result, state=CredentialState.EXPIRED, detail=detail)
        detail = (
            f"the user name is good for another {_duration(left)} by this machine's clock: the "
            "secret it was made with is another one, or the server's clock is ahead"
        )
        return attrs.evolve(result, state=CredentialState.WRONG_SECRET, detail=detail)

    async def _secret_or_clock(self, result: CredentialResult) -> CredentialResult:
        refused_for = float(ORDINARY_VALIDITY)
        for validity in SKEWS:
            longer = self.target.credentials(self.wall_time, validity)
            if longer is not None and await self._refusal(longer) is None:
                detail = (
                    f"refused with a validity of {_duration(refused_for)}, taken with "
                    f"{_duration(validity)}: the server's clock is ahead by something in between"
                )
                return attrs.evolve(result, state=CredentialState.CLOCK_SKEW, detail=detail)
            refused_for = validity
        return attrs.evolve(result, state=CredentialState.WRONG_SECRET)

    async def _without_credentials(self) -> Message:
        """Return what Allocate without credentials is answered."""
        server = server_of(self.way, None)
        remote = Address.parse(self.way.address, self.way.port)
        async with open_link(server, remote) as link:
            response = await ask(link, Method.ALLOCATE, [a.REQUESTED_TRANSPORT.of(UDP)])
            if response.message_class is MessageClass.SUCCESS_RESPONSE:
                await ask(link, Method.REFRESH, [a.LIFETIME.of(0)])
            return response

    async def _refusal(self, credentials: Credentials) -> IceError | None:
        """Return why an allocation was refused, None if it was made (and is closed again)."""
        try:
            async with open_relay(server_of(self.way, credentials), timing=TIMING):
                return None
        except IceError as error:
            return error


def _is_authentication(error: IceError) -> bool:
    return isinstance(error, AuthenticationError | IntegrityViolationError) or (
        isinstance(error, ResponseError) and error.code == ErrorCode.WRONG_CREDENTIALS
    )


def _duration(seconds: float) -> str:
    for unit, size in (("years", 365 * 86_400), ("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
