"""What else issue 4 wants broken at turnd *and* at coturn: the halves that no other file has.

Wrong secret, expired, skewed clock, private relayed address and quota are in `test_credentials.py`
and `test_relays.py`, for both servers; a name without a record needs no server.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from ice_client.check import verdicts as v
from ice_client.check.results import Report
from stun.credentials import long_term_key_md5
from tests.ice_client.check.kit import check, provokes
from tests.ice_client.check.name_server import name_server
from tests.ice_client.check.test_certificates import DAY, NAME, NATIVE, NOW, ROOT, issue
from tests.interop.coturn_server import running_coturn
from tests.interop.server_under_test import PASSWORD, USER, running_server
from tests.natlab import UDP_BLOCKED, Host, KernelRouter, Topology, inhabiting, lab
from tests.natlab.servers import PLAIN_PORT, coturn_on

HOST = ["127.0.0.1"]
COTURN_USER = ["lt-cred-mech", f"user={USER}:{PASSWORD}"]
WHO: dict[str, Any] = {"username": USER, "password": PASSWORD}
SERVER = Host("server", addresses=2)
CLOSED_RELAY_PORTS = (
    "table inet closed {\n chain input {\n  type filter hook input priority 0;\n"
    '  iifname "eth0" udp dport 49152-65535 drop\n }\n}\n'
)


@provokes(v.WRONG_REALM)
async def test_user_made_for_another_realm_at_turnd(tmp_path: Path) -> Report:
    key = long_term_key_md5("old", "old.example.org", PASSWORD).hex()
    users = [{"name": "old", "key": key}]
    changes = {"auth": {"users": users, "password_algorithms": ["MD5"]}}
    async with running_server(tmp_path, changes, hosts=HOST) as server:
        return await check(
            f"turn:127.0.0.1:{server.plain_port}",
            username="old",
            password=PASSWORD,
            realm="old.example.org",
        )


@provokes(v.CERTIFICATE_EXPIRED, beside=NATIVE)
async def test_expired_certificate_at_coturn(tmp_path: Path) -> Report:
    leaf = issue(ROOT, start=NOW - 90 * DAY, end=NOW - DAY)
    (tmp_path / "old.pem").write_bytes(leaf.pem)
    (tmp_path / "old-key.pem").write_bytes(leaf.key_pem)
    (tmp_path / "root.pem").write_bytes(ROOT.pem)
    files = [f"cert={tmp_path / 'old.pem'}", f"pkey={tmp_path / 'old-key.pem'}"]
    zone = {(NAME, "A"): ["127.0.0.1"], (NAME, "AAAA"): ["::1"]}
    async with (
        running_coturn(tmp_path, [*COTURN_USER, *files]) as server,
        name_server(zone) as resolver,
    ):
        return await check(
            f"turns:{NAME}:{server.secure_port}",
            changes={"name_server": resolver, "ca_file": tmp_path / "root.pem"},
            **WHO,
        )


@provokes(v.PLAIN_AS_TLS)
async def test_plain_port_given_as_tls_at_coturn(tmp_path: Path) -> Report:
    # Without `no-tls` coturn takes TLS on every port.
    with lab(Topology(hosts=(SERVER, Host("here")), boxes=())) as net:
        async with coturn_on(net["server"], tmp_path):
            with inhabiting(net["here"]):
                return await check(f"turns:{net['server'].address}:{PLAIN_PORT}", **WHO)


@provokes(v.NO_IPV6)
async def test_name_without_ipv6_at_coturn(tmp_path: Path) -> Report:
    zone = {(NAME, "A"): ["127.0.0.1"]}
    async with running_coturn(tmp_path, COTURN_USER) as server, name_server(zone) as resolver:
        return await check(
            f"turn:{NAME}:{server.plain_port}?transport=udp",
            changes={"name_server": resolver},
            **WHO,
        )


@provokes(v.UDP_BLOCKED)
async def test_firewall_that_drops_udp_before_coturn(tmp_path: Path) -> Report:
    office = KernelRouter("office", UDP_BLOCKED)
    with lab(Topology(hosts=(SERVER, Host("here", on=office.name)), boxes=(office,))) as net:
        async with coturn_on(net["server"], tmp_path):
            with inhabiting(net["here"]):
                return await check(f"turn:{net['server'].address}", **WHO)


@provokes(v.RELAY_PORTS_BLOCKED)
async def test_firewall_before_the_relay_ports_of_coturn(tmp_path: Path) -> Report:
    rules = tmp_path / "rules"
    rules.write_text(CLOSED_RELAY_PORTS)
    with lab(Topology(hosts=(SERVER, Host("here")), boxes=())) as net:
        subprocess.run(net["server"].command("nft", "-f", str(rules)), check=True, timeout=20)
        async with coturn_on(net["server"], tmp_path):
            with inhabiting(net["here"]):
                return await check(f"turn:{net['server'].address}", **WHO)
