"""Real servers to be a client of: turnd and Debian's coturn, with certificates to verify."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import attrs
import trio
import trustme

from ice_client.turn import LongTermCredentials, TlsOptions, Transport, TurnServer
from tests.interop.coturn_server import running_coturn
from tests.interop.server_under_test import (
    LOOPBACK,
    PASSWORD,
    REALM,
    USER,
    Section,
    ServerUnderTest,
    running_server,
)

CREDENTIALS = LongTermCredentials(USER, PASSWORD)
LINKS = [(transport, host) for transport in Transport for host in ("127.0.0.1", "::1")]
"""Every transport over both families."""


@attrs.frozen
class Certificates:
    """A certificate for `LOOPBACK` and turn.example.org, and the authority to trust."""

    chain: Path
    key: Path
    ca: Path

    @classmethod
    def make(cls, folder: Path, *names: str) -> Certificates:
        """Write the files into a folder."""
        authority = trustme.CA()
        issued = authority.issue_cert(*(names or ("turn.example.org", *LOOPBACK)))
        made = cls(folder / "chain.pem", folder / "private.pem", folder / "ca.pem")
        issued.cert_chain_pems[0].write_to_path(str(made.chain))
        issued.private_key_pem.write_to_path(str(made.key))
        authority.cert_pem.write_to_path(str(made.ca))
        return made


@attrs.frozen
class Running:
    """A server that runs, and how to be its client."""

    server: ServerUnderTest
    certificates: Certificates

    async def closed_all(self, opened: int) -> None:
        """Return once the log tells of that many allocations opened, and all of them closed.

        The log comes through a pipe, later than answers do.
        """
        with trio.fail_after(10):
            while len(self.server.events("allocation-closed")) < opened:
                await trio.sleep(0.01)
        assert len(self.server.events("allocation-opened")) == opened

    def at(
        self,
        transport: Transport = Transport.UDP,
        host: str = "127.0.0.1",
        credentials: LongTermCredentials | None = CREDENTIALS,
    ) -> TurnServer:
        """Return the server as a client names it."""
        port = self.server.secure_port if transport.is_secure else self.server.plain_port
        tls = TlsOptions(ca_file=self.certificates.ca)
        return TurnServer(host, port, transport, credentials, tls)


@contextlib.asynccontextmanager
async def turnd(
    folder: Path, changes: Mapping[str, Section] | None = None
) -> AsyncIterator[Running]:
    """Run turnd."""
    made = Certificates.make(folder)
    tls = {"certificate": str(made.chain), "private_key": str(made.key)}
    async with running_server(folder, {"tls": tls, **(changes or {})}) as server:
        yield Running(server, made)


@contextlib.asynccontextmanager
async def coturn(folder: Path, options: Sequence[str] = ()) -> AsyncIterator[Running]:
    """Run coturn."""
    made = Certificates.make(folder)
    lines = ["lt-cred-mech", f"user={USER}:{PASSWORD}", f"cert={made.chain}", f"pkey={made.key}"]
    async with running_coturn(folder, [*lines, *options]) as server:
        yield Running(server, made)


SERVERS: dict[str, Callable[[Path], AbstractAsyncContextManager[Running]]] = {
    "turnd": turnd,
    "coturn": coturn,
}

__all__ = ["CREDENTIALS", "LINKS", "REALM", "SERVERS", "Certificates", "Running", "coturn", "turnd"]
