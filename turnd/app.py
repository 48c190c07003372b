"""Puts the server together, runs it, and reacts to the operator's signals."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Callable

import attrs
import structlog
import trio

from stun import Address
from turnd.admin.http import admin_app, serve_http
from turnd.admin.logs import EventLogger, LogFile, configure_logging
from turnd.admin.metrics import LiveValues, Metrics
from turnd.admin.systemd import feed_watchdog, notify
from turnd.config import Config, ConfigError
from turnd.config.restart import needs_restart
from turnd.core.challenge import Challenge
from turnd.core.server import Environment, TurnServer
from turnd.datapath.interface import DatapathSettings
from turnd.datapath.select import open_engine
from turnd.descriptors import raise_descriptor_limit
from turnd.hub import Hub, Links
from turnd.listeners import open_listeners
from turnd.network import ListenError, check_relay_addresses, host_addresses
from turnd.pidfile import pidfile
from turnd.privileges import drop_privileges
from turnd.settings import HostAddresses, core_settings, datapath_settings
from turnd.stores import open_database, open_source
from turnd.transport_settings import (
    certificate_store,
    dtls_settings,
    load_certificates,
    stream_settings,
    tcp_relay_settings,
    tls_settings,
)
from turnd.transports.dtls_transport import DtlsTransport
from turnd.transports.pem import CertificateError
from turnd.transports.stream_listener import StreamTransports
from turnd.transports.tcp_relay import TcpRelay, TcpRelayEvents
from turnd.transports.totals import TransportCounters

log = structlog.get_logger("turnd")

Reload = Callable[[], Config]
"""Reads the configuration again; raises `ConfigError`."""


@attrs.frozen(slots=True)
class Running:
    """A server that takes clients.

    Attributes:
        listening: what its listeners are bound to.
        relay_ips: packed addresses clients are relayed from, as they are known outside.
        primary: the address that leads outside, for people to try it.
        metrics: where metrics and health are, or None.

    """

    listening: frozenset[Address]
    relay_ips: tuple[bytes, ...]
    primary: Address
    metrics: Address | None


class Application:
    """One server.

    Args:
        config: what to run.
        log_file: reopened on HUP.
        reload: how to read the configuration again on HUP.

    Raises:
        ListenError, CertificateError, UserDatabaseError: it can't start as configured.

    """

    def __init__(self, config: Config, log_file: LogFile, reload: Reload) -> None:
        self._config = config
        self._log_file = log_file
        self._reload = reload
        self._ready = False
        self._draining = False
        self._stop = trio.Event()
        self._certificates = certificate_store(config)
        self._listeners = open_listeners(config)
        self._metrics_endpoint = config.metrics.listen  # whatever HUP says: another takes a start
        self._host = self._look_at_host()
        self._sqlite = open_database(config)
        self._source = open_source(config, self._sqlite)
        self._datapath, self._clock = open_engine(config, self._datapath_settings(None))
        if config.relay.shared and not self._datapath.shares_relays:
            log.warning("relays-not-shared", detail="relay.shared needs the native datapath")
        self._hub = Hub(self._datapath, self._source, self._clock)
        counters = TransportCounters()
        self._streams = StreamTransports(
            stream_settings(config),
            self._datapath,
            self._certificates,
            on_client_gone=self._hub.client_gone,
            has_allocation=self._hub.has_allocation,
            counters=counters,
        )
        self._dtls = DtlsTransport(
            dtls_settings(config),
            self._datapath,
            self._certificates,
            on_client_gone=self._hub.client_gone,
            has_allocation=self._hub.has_allocation,
            counters=counters,
        )
        self._tcp_relay = TcpRelay(
            tcp_relay_settings(config),
            self._streams.take_over,
            TcpRelayEvents(
                peer_connected=self._hub.peer_connected,
                peer_unreachable=self._hub.peer_unreachable,
                peer_arrived=self._hub.peer_arrived,
                connection_closed=self._hub.connection_closed,
            ),
        )
        self._server = TurnServer(
            core_settings(config, self._host),
            self._source,
            self._datapath,
            self._tcp_relay,
            Environment(
                wall_clock=time.time,
                random_bytes=secrets.token_bytes,
                random_below=secrets.randbelow,
                nonce_key=config.auth.nonce_secret.encode() or secrets.token_bytes(32),
            ),
            self._clock(),
        )
        self._datapath.reconfigure(self._datapath_settings(self._server.challenge()))
        self._metrics = Metrics(
            _realm_names(config),
            LiveValues(
                self._datapath.totals,
                counters.snapshot,
                lambda: self._draining,
                self._certificate_expiry,
            ),
            per_realm=config.metrics.per_realm,
            per_user=config.metrics.per_user,
        )
        self._events = EventLogger()
        self._hub.connect(
            Links(
                server=self._server,
                dtls=self._dtls,
                close_stream=self._streams.close_client,
                plain_udp_ports=self._listeners.plain_udp_ports,
                dtls_ports=self._listeners.dtls_ports,
                observers=(self._events, self._metrics),
                on_idle=self._on_idle,
            )
        )

    async def run(self, on_ready: Callable[[Running], None] = lambda _: None) -> None:
        """Serve until told to stop by a signal, or cancelled; then end every session cleanly."""
        with pidfile(self._config.server.pidfile):
            async with trio.open_nursery() as nursery:
                try:
                    await self._start(nursery, on_ready)
                    await self._stop.wait()
                finally:
                    self._ready = False
                    notify("STOPPING=1")
                    self._hub.close_all()
                    log.info("stopped")
                    nursery.cancel_scope.cancel()
        if self._sqlite is not None:
            self._sqlite.close()

    async def _start(self, nursery: trio.Nursery, on_ready: Callable[[Running], None]) -> None:
        await nursery.start(self._watch_signals)
        descriptors = raise_descriptor_limit()
        metrics = await self._start_http(nursery)
        for sock in self._listeners.udp:
            # An engine may bind more sockets to a privileged port, as the same user.
            self._datapath.add_listener(sock)
        drop_privileges(self._config.server.user, self._config.server.group)
        if self._sqlite is not None:
            await self._sqlite.load_secrets()
            nursery.start_soon(self._sqlite.run)
        nursery.start_soon(self._hub.run)
        await nursery.start(self._tcp_relay.run)
        await nursery.start(self._dtls.run)
        await nursery.start(self._streams.serve, list(self._listeners.streams))
        await nursery.start(self._datapath.run, self._hub)
        nursery.start_soon(feed_watchdog)
        self._ready = True
        running = self._describe(metrics)
        log.info(
            "ready",
            listening=sorted(str(address) for address in running.listening),
            realm=self._config.server.realm,
            metrics=str(metrics) if metrics else None,
            descriptors=descriptors,
        )
        on_ready(running)
        notify("READY=1", f"STATUS=Serving realm {self._config.server.realm}")

    async def _start_http(self, nursery: trio.Nursery) -> Address | None:
        endpoint = self._metrics_endpoint
        if endpoint is None:
            return None
        app = admin_app(self._metrics.registry, lambda: self._ready and not self._draining)
        port: int = await nursery.start(serve_http, endpoint.address, app)
        return endpoint.address.with_port(port)

    async def _watch_signals(
        self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        actions = {
            signal.SIGTERM: self._stop.set,
            signal.SIGINT: self._stop.set,
            signal.SIGHUP: self._hang_up,
            signal.SIGUSR1: self._drain,
            signal.SIGUSR2: self._reload_certificates,
        }
        with trio.open_signal_receiver(*actions) as received:
            task_status.started()
            async for number in received:
                log.info("signal", name=signal.Signals(number).name)
                actions[signal.Signals(number)]()

    def _hang_up(self) -> None:
        """Reopen the log, read configuration and certificates again (HUP)."""
        notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._log_file.reopen()
        except OSError as error:
            log.error("log-not-reopened", error=str(error))
        try:
            self._reconfigure(self._reload())
        except (ConfigError, CertificateError, ListenError, ValueError) as error:
            log.error("configuration-not-reloaded", error=str(error))
        notify("READY=1")

    def _reconfigure(self, config: Config) -> None:
        check_relay_addresses(each.address for each in config.relay.addresses)
        host, source = self._look_at_host(), open_source(config, self._sqlite)
        settings = core_settings(config, host, draining=self._draining)
        if config.listen.tls or config.listen.dtls:
            load_certificates(self._certificates, config)
            self._certificates.reconfigure(tls_settings(config))
        # What may fail is behind us: it is the one configuration or the other, and no mixture.
        old, self._config, self._host, self._source = self._config, config, host, source
        configure_logging(config.log.level, config.log.format, self._log_file)
        self._events.reconfigure()
        self._metrics.reconfigure(_realm_names(config))
        self._hub.source = source
        self._server.reconfigure(settings, source, self._clock())
        self._datapath.reconfigure(self._datapath_settings(self._server.challenge()))
        self._streams.reconfigure(stream_settings(config))
        self._dtls.reconfigure(dtls_settings(config))
        self._tcp_relay.reconfigure(tcp_relay_settings(config))
        if waiting := needs_restart(old, config):
            log.warning("needs-restart", changed=waiting, detail="in force from the next start")
        log.info("configuration-reloaded")

    def _reload_certificates(self) -> None:
        """Read the certificate files again (USR2)."""
        try:
            self._certificates.reload()
        except CertificateError as error:
            log.error("certificates-not-reloaded", error=str(error))

    def _drain(self) -> None:
        """Refuse new allocations from now on, and end with the last old one (USR1)."""
        self._draining = True
        settings = core_settings(self._config, self._host, draining=True)
        self._server.reconfigure(settings, self._source, self._clock())
        notify("STATUS=Draining")
        log.info("draining", allocations=self._server.allocation_count)
        if not self._server.allocation_count:
            self._stop.set()

    def _on_idle(self) -> None:
        if self._draining:
            self._stop.set()

    def _datapath_settings(self, challenge: Challenge | None) -> DatapathSettings:
        ports = self._listeners.plain_udp_ports
        return datapath_settings(self._config, self._host, ports, challenge)

    def _certificate_expiry(self) -> float | None:
        ends = self._certificates.not_after
        return ends.timestamp() if ends is not None else None

    def _look_at_host(self) -> HostAddresses:
        listening = set(self._listeners.addresses)
        if self._metrics_endpoint is not None:
            listening.add(self._metrics_endpoint.address)
        return attrs.evolve(host_addresses(), listening=frozenset(listening))

    def _describe(self, metrics: Address | None) -> Running:
        relays = core_settings(self._config, self._host).relay_ips
        publics = tuple(relay.public for relay in relays)
        primary = publics[0] if publics else next(iter(self._host.primary.values()))
        return Running(self._listeners.addresses, publics, Address(primary, 0), metrics)


def _realm_names(config: Config) -> list[str]:
    return [config.server.realm, *(realm.name for realm in config.realms)]
