"""What a check found out, as values: everything a report shows is in a `Report`.

The JSON report is these classes as msgspec writes them, and docs/ice-check.schema.json is
their schema: a change that readers would notice takes a new `SCHEMA`. Times are seconds, sizes
bytes. Addresses are text: they are shown, not calculated with.
"""

from __future__ import annotations

import enum
from typing import Final, Literal

import attrs

from ice_client.check.network_results import LocalCandidate, NatResult, QualityResult
from ice_client.turn import Transport

SCHEMA: Final = "ice-check/1"


class Outcome(enum.Enum):
    """How a stage ended."""

    OK = "ok"
    FAILED = "failed"
    SKIPPED = "skipped"


class Cause(enum.Enum):
    """Why a stage failed, as far as the stage itself can tell."""

    TIMEOUT = "timeout"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CLOSED = "closed"
    NOT_STUN = "not-stun"
    TLS = "tls"
    ERROR_RESPONSE = "error-response"
    NO_CREDENTIALS = "no-credentials"
    LOST = "lost"
    OTHER = "other"


class StageName(enum.Enum):
    """The stages of a row of the matrix, in order."""

    CONNECT = "connect"
    TLS = "tls"
    BINDING = "binding"
    ALLOCATE = "allocate"
    PERMISSION = "permission"
    ECHO = "echo"
    DIRECT = "direct"
    REFRESH = "refresh"


@attrs.frozen(slots=True)
class Stage:
    """One timed step.

    Attributes:
        name: which one.
        outcome: how it ended.
        seconds: how long it took; None when it was skipped.
        cause: why it failed.
        code: the STUN error code, where the server answered with one.
        detail: what a person wants to know of it.

    """

    name: StageName
    outcome: Outcome
    seconds: float | None = None
    cause: Cause | None = None
    code: int | None = None
    detail: str = ""


@attrs.frozen(slots=True)
class Row:
    """One way to the server: a transport to one of its addresses.

    Attributes:
        transport: see `Transport`.
        family: of `address`.
        address: the server's IP address.
        port: its port.
        stages: what was tried, in order.
        mapped_address: this end as the server sees it (XOR-MAPPED-ADDRESS).
        relayed_address: of the allocation, `address:port`.
        lifetime: of the allocation, seconds.
        software: the server's SOFTWARE.
        speaks_other: TLS was asked for and the port speaks plain STUN, or the other way about.
        expected: the target asked for this row; others are tried for what they tell.

    """

    transport: Transport
    family: Literal["ipv4", "ipv6"]
    address: str
    port: int
    stages: tuple[Stage, ...] = ()
    mapped_address: str | None = None
    relayed_address: str | None = None
    lifetime: float | None = None
    software: str | None = None
    speaks_other: bool = False
    expected: bool = True

    def stage(self, name: StageName) -> Stage | None:
        """Return the stage of that name, if it was tried."""
        return next((each for each in self.stages if each.name is name), None)

    def passed(self, name: StageName) -> bool:
        """Whether the stage was tried and went well."""
        stage = self.stage(name)
        return stage is not None and stage.outcome is Outcome.OK

    @property
    def failure(self) -> Stage | None:
        """The first stage that failed."""
        return next((each for each in self.stages if each.outcome is Outcome.FAILED), None)

    @property
    def works(self) -> bool:
        """Whether all that was tried went well."""
        return bool(self.stages) and self.failure is None

    @property
    def label(self) -> str:
        """How people call it: `udp ipv4 192.0.2.1:3478`."""
        host = f"[{self.address}]" if self.family == "ipv6" else self.address
        return f"{self.transport.value} {self.family} {host}:{self.port}"


@attrs.frozen(slots=True)
class Lookup:
    """One DNS question and what became of it.

    Attributes:
        kind: `A`, `AAAA` or `SRV`; `hosts` for what the system's own resolver knew beyond DNS.
        name: what was asked for.
        values: the answers as text, SRV as `priority weight port target`.
        seconds: how long it took.
        error: empty unless the resolver failed (an empty answer is no failure).

    """

    kind: Literal["A", "AAAA", "SRV", "hosts"]
    name: str
    values: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""


@attrs.frozen(slots=True)
class Certificate:
    """One certificate of a chain; times in RFC 3339."""

    subject: str
    issuer: str
    not_before: str
    not_after: str
    names: tuple[str, ...] = ()
    key: str = ""
    signature: str = ""


@attrs.frozen(slots=True)
class TlsResult:
    """What a TLS port shows.

    Attributes:
        address: where, `address:port`.
        name: the name that was asked for and that the certificate should have.
        version: `TLSv1.3`.
        cipher: the cipher suite.
        alpn: the protocol agreed on; empty for none (RFC 7443 defines `stun.turn`).
        chain: as sent, leaf first.
        trusted: whether it leads to a root of this system, name and time aside.
        trust_error: why not, in OpenSSL's words.
        self_signed: the leaf signed itself.
        name_matches: whether the leaf is for `name`.
        seconds_left: until the first certificate of the chain expires; negative if one has.
        seconds_until_valid: until the last one becomes valid; negative if all are.
        native_root: the root's name if libwebrtc knows it, None if not or not told.
        weak: what is weak about keys and signatures; empty if nothing.
        old_versions: versions before 1.2 that the server accepts.
        expected: the target asked for TLS here; else this is shown and not judged.

    """

    address: str
    name: str
    version: str
    cipher: str
    alpn: str
    chain: tuple[Certificate, ...]
    trusted: bool
    trust_error: str
    self_signed: bool
    name_matches: bool
    seconds_left: float
    seconds_until_valid: float
    native_root: str | None
    weak: str = ""
    old_versions: tuple[str, ...] = ()
    expected: bool = True


class CredentialState(enum.Enum):
    """What became of the credentials; see `CredentialResult`."""

    ACCEPTED = "accepted"
    NONE_GIVEN = "none-given"
    NOT_NEEDED = "not-needed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CLOCK_SKEW = "clock-skew"
    WRONG_SECRET = "wrong-secret"  # noqa: S105 - a state's name
    WRONG_REALM = "wrong-realm"
    STALE_NONCE_LOOP = "stale-nonce-loop"
    BAD_CHALLENGE = "bad-challenge"
    NOT_TOLD = "not-told"


@attrs.frozen(slots=True)
class CredentialResult:
    """How authentication went at one server.

    Attributes:
        server: which, `transport family address:port`.
        state: see `CredentialState`.
        realm: the one of the server's challenge.
        expected_realm: the one that was expected, if any was.
        detail: the evidence.
        open_relay: whether an Allocate without credentials was granted; None if not tried.
        expired_accepted: whether an expired time-limited credential was; None if not tried.

    """

    server: str
    state: CredentialState
    realm: str | None = None
    expected_realm: str | None = None
    detail: str = ""
    open_relay: bool | None = None
    expired_accepted: bool | None = None


@attrs.frozen(slots=True)
class PeerAccess:
    """Whether the relay takes a peer that it should not."""

    peer: str
    kind: Literal["loopback", "private", "metadata"]
    permitted: bool | None
    detail: str = ""


@attrs.frozen(slots=True)
class Finding:
    """A verdict on this target, complete in itself.

    Attributes:
        id: of the verdict.
        severity: `error`, `warning` or `info`.
        title: the verdict's.
        where: what it is about: a row, a name, an address.
        detail: the evidence.
        explanation: the verdict's.
        fix: the verdict's.

    """

    id: str
    severity: Literal["error", "warning", "info"]
    title: str
    where: str
    detail: str
    explanation: str
    fix: str


@attrs.frozen(slots=True, kw_only=True)
class Report:
    """All of one check.

    Attributes:
        schema: `SCHEMA`.
        tool: name and version.
        started: RFC 3339, UTC.
        seconds: how long it took.
        target: as given, without secrets.
        works: nothing that was asked for fails.

    """

    schema: Literal["ice-check/1"] = SCHEMA
    tool: str
    started: str
    seconds: float
    target: str
    works: bool
    lookups: tuple[Lookup, ...] = ()
    rows: tuple[Row, ...] = ()
    tls: tuple[TlsResult, ...] = ()
    credentials: tuple[CredentialResult, ...] = ()
    nat: tuple[NatResult, ...] = ()
    candidates: tuple[LocalCandidate, ...] = ()
    quality: tuple[QualityResult, ...] = ()
    peers: tuple[PeerAccess, ...] = ()
    findings: tuple[Finding, ...] = ()
