"""From the configuration to what the core, the engine and the transports go by.

Pure functions of the configuration and of the host's addresses: what the host has is
found out by `turnd.network`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from stun import Address, Family
from stun.values import MD5, SHA256, PasswordAlgorithm
from turnd.config import Config
from turnd.config.sections import Quota
from turnd.config.values import AddressRange as ConfiguredRange
from turnd.config.values import Endpoint
from turnd.core.challenge import Challenge
from turnd.core.peer_policy import PeerPolicy
from turnd.core.settings import Lifetimes, Limits, NatDiscovery, RelayIp, Settings
from turnd.core.special_purpose import AddressRange
from turnd.datapath.interface import DatapathSettings, OwnAnswers

_PASSWORD_ALGORITHMS: dict[str, PasswordAlgorithm] = {"MD5": MD5, "SHA-256": SHA256}


@attrs.frozen(slots=True)
class HostAddresses:
    """What `turnd.network` found.

    Attributes:
        interfaces: every packed IP address of the host.
        primary: the packed address per family that leads outside, if any does.
        listening: what listeners and the metrics port are bound to, wildcards included.

    """

    interfaces: frozenset[bytes]
    primary: Mapping[Family, bytes]
    listening: frozenset[Address] = frozenset()


def relay_ips(config: Config, host: HostAddresses) -> tuple[RelayIp, ...]:
    """Return where relays are bound: as configured, else where clients come in."""
    locals_ = [address.packed for address in config.relay.addresses]
    if not locals_:
        locals_ = list(dict.fromkeys(_detected(config, host)))
    return tuple(RelayIp(packed, _public(config, packed)) for packed in locals_)


def _detected(config: Config, host: HostAddresses) -> Iterable[bytes]:
    listen = config.listen
    for endpoint in (*listen.udp, *listen.tcp, *listen.tls, *listen.dtls):
        if not endpoint.is_wildcard:
            yield endpoint.address.packed
        elif endpoint.address.family in host.primary:
            yield host.primary[endpoint.address.family]


def _public(config: Config, packed: bytes) -> bytes:
    """Return the outside name of a local address: its own mapping, else its family's."""
    of_family = packed
    for external in config.relay.external:
        if external.private is not None and external.private.packed == packed:
            return external.public.packed
        if external.private is None and len(external.public.packed) == len(packed):
            of_family = external.public.packed
    return of_family


def own_endpoints(config: Config, host: HostAddresses) -> frozenset[Address]:
    """Return every transport address that something of ours answers on, outside names included."""
    found: set[Address] = set()
    publics = [external.public.packed for external in config.relay.external]
    for address in host.listening:
        ips = [address.packed, *publics]
        if not any(address.packed):
            ips += host.interfaces
        found |= {Address(packed, address.port) for packed in ips}
    return frozenset(found)


def nat_discovery(config: Config) -> NatDiscovery | None:
    """Return the RFC 5780 addresses; None while there is no alternate address."""
    alternate = config.nat_discovery.alternate_address
    if alternate is None:
        return None
    primary = next(
        (
            endpoint.address
            for endpoint in config.listen.udp
            if endpoint.address.family is alternate.family and not endpoint.is_wildcard
        ),
        None,
    )
    if primary is None:
        return None  # the configuration's own check has said so
    public = {
        packed: _public(config, packed)
        for packed in (primary.packed, alternate.packed)
        if _public(config, packed) != packed
    }
    port = config.nat_discovery.alternate_port
    return NatDiscovery(primary, Address(alternate.packed, port), public)


def core_settings(config: Config, host: HostAddresses, *, draining: bool = False) -> Settings:
    """Return what the core decides by."""
    relays = relay_ips(config, host)
    limits = _limits(config.quota)
    auth, relay = config.auth, config.relay
    realms = {config.server.realm: limits}
    origins: dict[str, str] = {}
    for realm in config.realms:
        realms[realm.name] = attrs.evolve(
            limits,
            allocations=_or(realm.allocations, 0),
            allocations_per_user=_or(realm.allocations_per_user, limits.allocations_per_user),
            bandwidth=_or(realm.bandwidth_per_allocation, limits.bandwidth),
        )
        origins |= dict.fromkeys(realm.origins, realm.name)
    # The whole server's limit is checked by `limits`; a realm has only its own.
    realms[config.server.realm] = attrs.evolve(realms[config.server.realm], allocations=0)
    return Settings(
        realm=config.server.realm,
        realms=realms,
        origins=origins,
        limits=limits,
        lifetimes=Lifetimes(
            default=relay.default_lifetime,
            maximum=max(relay.maximum_lifetime, relay.default_lifetime),
            permission=relay.permission_lifetime,
            channel=relay.channel_lifetime,
            nonce=auth.nonce_lifetime,
        ),
        policy=peer_policy(config, host, relays),
        authenticate=auth.mechanism != "none",
        authenticate_binding=auth.authenticate_binding,
        password_algorithms=tuple(_PASSWORD_ALGORITHMS[name] for name in auth.password_algorithms),
        # The database may be given a secret at any time, by `turnd secret add`.
        username_anonymity=not (
            auth.secrets or auth.user_database or any(realm.secrets for realm in config.realms)
        ),
        oauth_server_name=(auth.oauth_server_name or config.server.realm)
        if auth.oauth_keys
        else "",
        software=config.server.software,
        denied_endpoints=own_endpoints(config, host),
        relay_ips=relays,
        relay_ports=(relay.ports.low, relay.ports.high),
        shared_relays=relay.shared,
        relay_udp=relay.udp,
        relay_tcp=relay.tcp,
        nat_discovery=nat_discovery(config),
        mobility=config.mobility.enabled,
        alternate_servers=_addresses(config.redirect.alternate_servers),
        tls_alternate_servers=_addresses(config.redirect.tls_alternate_servers),
        draining=draining,
        classic=config.listen.classic_stun,
        unauthenticated_rate=config.rate_limit.unauthenticated_per_prefix,
        unauthenticated_burst=2 * config.rate_limit.unauthenticated_per_prefix,
    )


def _limits(quota: Quota) -> Limits:
    return Limits(
        allocations=quota.allocations,
        allocations_per_user=quota.allocations_per_user,
        allocations_per_address=quota.allocations_per_address,
        permissions_per_allocation=quota.permissions_per_allocation,
        channels_per_allocation=quota.channels_per_allocation,
        connections_per_allocation=quota.tcp_connections_per_allocation,
        bandwidth=quota.bandwidth_per_allocation,
    )


def peer_policy(config: Config, host: HostAddresses, relays: Sequence[RelayIp]) -> PeerPolicy:
    """Return whom clients may reach."""
    own_relays = frozenset(ip for relay in relays for ip in (relay.local, relay.public))
    listeners = {address.packed for address in own_endpoints(config, host)}
    return PeerPolicy(
        allow=_ranges(config.peers.allow),
        deny=_ranges(config.peers.deny),
        deny_special=config.peers.deny_special,
        relay_ips=own_relays,
        own_ips=frozenset(host.interfaces | listeners) - own_relays,
    )


def datapath_settings(
    config: Config,
    host: HostAddresses,
    plain_udp_ports: frozenset[int],
    challenge: Challenge | None = None,
) -> DatapathSettings:
    """Return what an engine has to know.

    Args:
        config: the configuration.
        host: addresses of this machine.
        plain_udp_ports: those that take STUN as it is.
        challenge: see `TurnServer.challenge`.

    """
    relays = relay_ips(config, host)
    return DatapathSettings(
        own_ips=frozenset(ip for relay in relays for ip in (relay.local, relay.public)),
        denied_endpoints=own_endpoints(config, host),
        total_bandwidth=config.quota.bandwidth_total,
        preserve_dscp=config.relay.preserve_dscp,
        receive_buffer=config.listen.receive_buffer,
        relay_receive_buffer=config.relay.receive_buffer,
        answers=OwnAnswers(
            plain_udp_ports,
            config.rate_limit.unauthenticated_per_prefix,
            2 * config.rate_limit.unauthenticated_per_prefix,
            # RFC 5780's answers say more, and who must log in is judged by the core.
            bindings=not config.auth.authenticate_binding and nat_discovery(config) is None,
            challenge=challenge,
        ),
    )


def _ranges(ranges: Iterable[ConfiguredRange]) -> tuple[AddressRange, ...]:
    return tuple(
        AddressRange(
            len(each.first),
            int.from_bytes(each.first, "big"),
            int.from_bytes(each.last, "big"),
            str(each),
        )
        for each in ranges
    )


def _addresses(endpoints: Iterable[Endpoint]) -> tuple[Address, ...]:
    return tuple(endpoint.address for endpoint in endpoints)


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
