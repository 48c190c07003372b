"""Every verdict `ice-check` can give: a stable id, what it means, and what to change.

The one table; docs/ice-check.md documents each, and a test holds the two together. An id is
never used again for something else. E: it does not work; W: it works, but not for everybody
or not for long; I: worth knowing.
"""

from __future__ import annotations

import enum

import attrs


class Severity(enum.Enum):
    """How bad a finding is; an error makes the exit code 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


_LETTERS = {Severity.ERROR: "E", Severity.WARNING: "W", Severity.INFO: "I"}


@attrs.frozen(slots=True)
class Verdict:
    """One thing that can be wrong.

    Attributes:
        id: as users cite it, `ICE-E012`.
        severity: see `Severity`.
        title: one line, no full stop.
        explanation: how it comes about, and how it was recognised.
        fix: what to change, and where.

    """

    id: str
    severity: Severity
    title: str
    explanation: str
    fix: str


TABLE: dict[str, Verdict] = {}
"""The verdicts by id."""


def _verdict(severity: Severity, number: int, title: str, explanation: str, fix: str) -> Verdict:
    verdict = Verdict(f"ICE-{_LETTERS[severity]}{number:03}", severity, title, explanation, fix)
    TABLE[verdict.id] = verdict
    return verdict


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

# Names and addresses
NO_ADDRESS = _verdict(
    _E,
    1,
    "The name has no address",
    "DNS has neither an A nor an AAAA record for the server's name, so no client finds it.",
    "Add an A record (and AAAA) for the name, or correct the name in the ICE server URL.",
)
RESOLVER_FAILED = _verdict(
    _E,
    2,
    "DNS does not answer",
    "The resolver gave no answer, or an error other than that the name is unknown.",
    "Check this machine's resolver and the name servers of the domain.",
)
NO_IPV6 = _verdict(
    _W,
    3,
    "The name has no IPv6 address",
    "There is an A record but no AAAA. Clients of IPv6-only networks (mobile ones mostly) "
    "depend on their network's NAT64 to reach this server.",
    "Give the server an IPv6 address, have it listen there, and publish an AAAA record.",
)

# Reaching the server
UDP_BLOCKED = _verdict(
    _E,
    10,
    "UDP gets no answer, TCP does",
    "Datagrams to the port vanish while TCP to the same server works: a firewall between here "
    "and there drops UDP, or the server does not listen on UDP.",
    "Open the port for UDP in the server's firewall or security group (both directions), and "
    "in the network's own if it is yours. Offer ?transport=tcp and turns: URLs for the rest.",
)
NOTHING_ANSWERS = _verdict(
    _E,
    11,
    "Nothing answers at this address",
    "Neither UDP nor TCP got any answer within the time given, not even a refusal: the address "
    "is wrong, the machine is down, or a firewall drops everything.",
    "Check the address, that the server runs, and that its port is open for UDP and TCP.",
)
REFUSED = _verdict(
    _E,
    12,
    "Nobody listens on the port",
    "The machine is there and refused: no server listens on that port for that transport.",
    "Start the server, have it listen on this port and transport, or correct the URL's port.",
)
NOT_STUN = _verdict(
    _E,
    13,
    "The port answers, but not with STUN",
    "A connection is accepted, but what answers does not speak STUN (or says nothing at all): "
    "often a web server, or a proxy in front that does not know TURN.",
    "Correct the port, or have the proxy pass the connection on to the TURN server as plain TCP.",
)
PLAIN_AS_TLS = _verdict(
    _E,
    14,
    "A plain port is given as a TLS port",
    "The URL says turns: but the port speaks plain STUN: the TLS handshake failed and a plain "
    "Binding request was answered.",
    "Use the TLS port in turns: URLs (5349 or 443 mostly), or turn: with this port; if it was "
    "meant to speak TLS, give the server its certificate and key.",
)
TLS_AS_PLAIN = _verdict(
    _E,
    15,
    "A TLS port is given as a plain port",
    "The URL says turn: with TCP but the port speaks TLS: plain STUN got no answer and a TLS "
    "handshake succeeded.",
    "Write turns: instead of turn: for this port, or use the plain port (3478 mostly).",
)
TLS_FAILED = _verdict(
    _E,
    16,
    "The TLS or DTLS handshake fails",
    "The port is open but no handshake completes, and it does not speak plain STUN either.",
    "Check that certificate and key belong together, are readable by the server, and that TLS "
    "1.2 or 1.3 is enabled. The server's log says more.",
)
FAMILY_BROKEN = _verdict(
    _E,
    17,
    "One address family is published but does not work",
    "The name has addresses of both families, but only one of them answers. Clients that try "
    "the other one first lose time or do not connect.",
    "Have the server listen on that address and open its firewall for it (IPv6 has rules of "
    "its own), or take the record out of DNS.",
)
TRANSPORT_MISSING = _verdict(
    _W,
    18,
    "A transport does not work",
    "Other transports of this server work, this one does not. Networks that only let it "
    "through cannot use the server: TLS on 443 is what strict firewalls let pass.",
    "Have the server listen on it, or do not offer it in the ICE server list.",
)

# Certificates
CERTIFICATE_EXPIRED = _verdict(
    _E,
    20,
    "The certificate has expired",
    "The certificate's validity has ended; clients refuse turns:.",
    "Renew it, and have the server read it again after renewals (a deploy hook that reloads).",
)
CERTIFICATE_NOT_YET_VALID = _verdict(
    _E,
    21,
    "The certificate is not valid yet",
    "Its validity begins in the future by this machine's clock.",
    "Check this machine's clock first; else have the certificate issued anew.",
)
CERTIFICATE_NAME = _verdict(
    _E,
    22,
    "The certificate is for another name",
    "None of its subject alternative names is the name in the URL.",
    "Use a name the certificate has, or have one issued that includes this name.",
)
CERTIFICATE_CHAIN = _verdict(
    _E,
    23,
    "The certificate chain does not lead to a trusted root",
    "An intermediate certificate is missing from what the server sends, or the root is not a "
    "public one.",
    "Configure the full chain (fullchain.pem), not the leaf alone.",
)
CERTIFICATE_SELF_SIGNED = _verdict(
    _E,
    24,
    "The certificate is self-signed",
    "The server made its own certificate (or never got one); browsers refuse it for turns:.",
    "Get one from a public authority (Let's Encrypt for example) and configure it.",
)
CERTIFICATE_EXPIRES_SOON = _verdict(
    _W,
    25,
    "The certificate expires soon",
    "Less than two weeks of validity are left; automatic renewal would have happened by now.",
    "Check that renewal runs and that the server reads the renewed file.",
)
ROOT_NOT_NATIVE = _verdict(
    _W,
    26,
    "Native WebRTC clients do not know the root",
    "The chain ends in a root that is not in the list compiled into libwebrtc. Browsers accept "
    "it; Android, iOS and desktop applications built on libwebrtc do not, unless they verify "
    "certificates themselves. Let's Encrypt is such a root.",
    "Where native applications matter, use a certificate of an authority in that list, or set "
    "a certificate verifier in the application.",
)
OLD_TLS = _verdict(
    _W,
    27,
    "Old TLS versions are accepted",
    "The server completes a handshake with TLS 1.0 or 1.1 (RFC 8996 forbids them).",
    "Set the lowest version to TLS 1.2.",
)
WEAK_KEY = _verdict(
    _W,
    28,
    "The certificate's key or signature is weak",
    "An RSA key shorter than 2048 bits, or a SHA-1 or MD5 signature: clients refuse it.",
    "Have a certificate issued for a P-256 or RSA 2048 key.",
)

# Credentials
WRONG_PASSWORD = _verdict(
    _E,
    30,
    "User name or password is wrong",
    "The server refused the credentials twice with 401: it does not know the user, or has "
    "another password. Servers do not say which, on purpose.",
    "Check both against the server's user list. If the server only takes time-limited "
    "credentials (use-auth-secret), make some: ice-check --secret.",
)
WRONG_SECRET = _verdict(
    _E,
    31,
    "The shared secret is not the server's",
    "Time-limited credentials of every validity are refused: not the clock but the secret "
    "they were made from differs from the server's.",
    "Copy the secret from the server's configuration (auth.secrets, or static-auth-secret) to "
    "the application; mind trailing newlines and base64: the text itself is the key.",
)
CREDENTIAL_EXPIRED = _verdict(
    _E,
    32,
    "The credential has expired",
    "The user name carries the time until which the credential is good, and that is over.",
    "Fetch new credentials; in the application, fetch them right before they are needed or "
    "give them a longer validity.",
)
CLOCK_SKEW = _verdict(
    _E,
    33,
    "The server's clock and the one that makes credentials differ",
    "Credentials made here with an ordinary validity are refused as expired, those with a much "
    "longer one are taken: the server's clock is ahead of this machine's (or this one's is "
    "behind).",
    "Synchronise both clocks (NTP, chrony); time-limited credentials depend on them.",
)
WRONG_REALM = _verdict(
    _E,
    34,
    "The realm is not the one expected",
    "The server asks for credentials of another realm than the one given, and refuses these. "
    "A long-term password hash is made with the realm: the same password does not fit.",
    "Set the server's realm to the one the users were made for, or make them anew.",
)
STALE_NONCE_LOOP = _verdict(
    _E,
    35,
    "The server calls every nonce stale",
    "Each request with a fresh nonce was answered 438 again. Often several servers behind one "
    "balancer that do not share the nonce's key, or requests of one client that reach "
    "different ones.",
    "Have the balancer keep a client's datagrams on one server (by source address and port), "
    "or have the servers share their nonce key.",
)
CREDENTIALS_NEEDED = _verdict(
    _E,
    36,
    "The server wants credentials and none were given",
    "Allocate was answered 401, as it should be; relaying was not tested.",
    "Give -u and -p, or --secret.",
)
OPEN_RELAY = _verdict(
    _E,
    37,
    "Open relay: no credentials needed",
    "The server made an allocation for a request without credentials. Anybody can send "
    "traffic through it in its name.",
    "Turn authentication on: in turnd give auth.users or auth.secrets; in coturn remove "
    "no-auth and set lt-cred-mech or use-auth-secret.",
)
EXPIRED_ACCEPTED = _verdict(
    _W,
    38,
    "Expired credentials are accepted",
    "A time-limited credential that ended an hour ago made an allocation: the server's clock "
    "is behind, or it does not check.",
    "Check the server's clock.",
)
BAD_CHALLENGE = _verdict(
    _E,
    39,
    "The server's 401 has no realm or nonce",
    "Without REALM and NONCE (RFC 8489 §9.2.4) no client can authenticate.",
    "Set a realm in the server's configuration (realm= in coturn).",
)

# Relaying
QUOTA = _verdict(
    _E,
    50,
    "Quota reached",
    "Allocate was answered 486: this user (or the whole server) has as many allocations as it may.",
    "Raise the quota (quota.allocations_per_user in turnd, user-quota in coturn) or see why "
    "so many are open: clients that do not close theirs hold them until they expire.",
)
NO_CAPACITY = _verdict(
    _E,
    51,
    "The server has no capacity left",
    "Allocate was answered 508: no relay port or bandwidth is left.",
    "Widen the range of relay ports, raise the limits, or add a server.",
)
REDIRECTED = _verdict(
    _I,
    52,
    "The server sends clients elsewhere",
    "Requests are answered 300 with an alternate server.",
    "Nothing if that is intended; the alternate must be reachable by clients as well.",
)
PRIVATE_RELAY = _verdict(
    _E,
    54,
    "The relayed address is private",
    "The server gives clients a relayed address that peers outside cannot reach: it is behind "
    "a 1:1 NAT (a cloud) and does not know its public address.",
    "Set the public address: relay.external in turnd, external-ip=PUBLIC/PRIVATE in coturn.",
)
RELAY_PORTS_BLOCKED = _verdict(
    _E,
    55,
    "The relay ports are closed",
    "An allocation was made, but nothing sent to its relayed address arrives: a firewall "
    "drops the relay's port range, although the listening port is open.",
    "Open the range (relay.ports in turnd, min-port and max-port in coturn; by default "
    "49152-65535) for UDP from everywhere in the server's firewall or security group.",
)
PERMISSION_REFUSED = _verdict(
    _E,
    56,
    "The server refuses its own relayed address as a peer",
    "CreatePermission was answered 403 for the other allocation of this very server. Two "
    "clients that both can only relay will not reach each other.",
    "Allow the server's own addresses as peers (peers.allow in turnd; allowed-peer-ip in "
    "coturn, which beats denied-peer-ip).",
)
FAMILY_NOT_RELAYED = _verdict(
    _I,
    57,
    "An address family is not relayed",
    "Allocate for that family was answered 440: peers of that family only are not reachable "
    "through this server.",
    "Give the server a relay address of that family.",
)
RELAY_TO_RELAY_FAILS = _verdict(
    _E,
    58,
    "Two relays of the server do not reach each other",
    "Packets from outside reach a relayed address, those from another allocation of the same "
    "server do not: the NAT in front of it does not hairpin, or its own addresses are denied.",
    "Allow the server's own addresses as peers, and use a NAT that hairpins, or a server that "
    "delivers between its own allocations.",
)
REFRESH_FAILED = _verdict(
    _E,
    59,
    "Allocations cannot be refreshed",
    "Allocate worked but Refresh did not: calls break when the first lifetime ends.",
    "The server's log says why; a load balancer that spreads one client's packets over several "
    "servers does this.",
)
NOT_TURN = _verdict(
    _E,
    60,
    "A STUN server, not a TURN server",
    "Binding is answered, Allocate is not, or as unknown: the server does not relay (or is "
    "told not to).",
    "Enable relaying (stun-only off in coturn, relay.udp in turnd), or use another server.",
)
ALLOCATE_REFUSED = _verdict(
    _E,
    61,
    "Allocate is refused",
    "The server answered Allocate with an error of no other verdict here; its code and reason "
    "are in the detail.",
    "The server's log says why.",
)
REDIRECT_LOOP = _verdict(
    _E,
    62,
    "Redirected without end",
    "Servers answer 300 in a circle, or the alternate server does not answer.",
    "Correct the alternate-server lines of the servers' configurations.",
)

# What the relay lets through
LOOPBACK_REACHABLE = _verdict(
    _E,
    70,
    "The relay reaches the server's own loopback",
    "CreatePermission for a loopback address was granted: whoever has credentials reaches "
    "services that listen on the server's loopback only.",
    "Deny 127.0.0.0/8 and ::1 as peers (turnd's default; no allow-loopback-peers in coturn).",
)
PRIVATE_REACHABLE = _verdict(
    _E,
    71,
    "The relay reaches private networks",
    "CreatePermission for private addresses was granted: whoever has credentials reaches the "
    "network behind the server.",
    "Deny private ranges as peers (turnd's default; denied-peer-ip in coturn) but those that "
    "must be reached.",
)
METADATA_REACHABLE = _verdict(
    _E,
    72,
    "The relay reaches the cloud's metadata service",
    "CreatePermission for 169.254.169.254 was granted: over TCP relaying that hands out the "
    "machine's credentials.",
    "Deny 169.254.0.0/16 and fe80::/10 as peers, and turn TCP relaying off if unused.",
)

# The network this was run from
NO_DISCOVERY = _verdict(
    _I,
    80,
    "The server offers no NAT behaviour discovery",
    "It has no second address (no OTHER-ADDRESS, RFC 5780), so mapping and filtering of the "
    "NAT here could not be told.",
    "Nothing, unless wanted: give the server a second address (nat_discovery in turnd).",
)
SYMMETRIC_NAT = _verdict(
    _W,
    81,
    "Symmetric NAT",
    "The NAT here gives a new external port (or address) for each destination: direct "
    "connections to peers behind another such NAT, or a port-restricted one, need the relay.",
    "Nothing on the server; make sure clients get TURN and not STUN alone.",
)
ALG = _verdict(
    _W,
    82,
    "Something rewrites addresses inside packets",
    "MAPPED-ADDRESS and XOR-MAPPED-ADDRESS of one response differ: an application layer "
    "gateway on the way changes what looks like an address.",
    "Turn the router's SIP ALG (or the like) off; use TLS.",
)
NO_HAIRPIN = _verdict(
    _I,
    83,
    "The NAT does not hairpin",
    "Packets from here to the own external address do not come back: two clients behind this "
    "NAT need host candidates or the relay to reach each other.",
    "Nothing; ICE finds another way.",
)
SHORT_MAPPING = _verdict(
    _W,
    84,
    "The NAT forgets mappings quickly",
    "A mapping was gone after less than 30 seconds without traffic.",
    "Send keepalives every 15 seconds or more often (RFC 8445 §11).",
)

# Quality
LOSS = _verdict(
    _W,
    90,
    "Packets are lost on the way through the relay",
    "More than 1 % of the packets between two allocations did not arrive.",
    "Compare with the direct loss in the report; on the server, look at its CPU, its bandwidth "
    "limits and socket buffers.",
)
JITTER = _verdict(
    _W,
    91,
    "High jitter through the relay",
    "The interarrival jitter (RFC 3550 §6.4.1) is above 30 ms: audio needs long buffers.",
    "Look for a loaded link or server on the way; TCP and TLS to the server make it worse.",
)
REORDERING = _verdict(
    _W,
    92,
    "Packets arrive out of order",
    "More than 1 % of the packets overtook one another.",
    "Look for links that are balanced packet by packet.",
)
SMALL_MTU = _verdict(
    _W,
    93,
    "Packets of 1200 bytes do not pass the relay",
    "WebRTC's media packets are up to about 1200 bytes; larger ones than the path allows are "
    "lost without a word.",
    "Find the link with the small MTU (a VPN or tunnel) and raise it, or allow fragments.",
)
SLOW = _verdict(
    _W,
    94,
    "Too little throughput for a video call",
    "Less than 1 Mbit/s passed between two allocations without loss.",
    "Check bandwidth limits (max-bps in coturn, quota.bandwidth_* in turnd) and the link.",
)
