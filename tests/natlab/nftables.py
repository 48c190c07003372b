"""Rules for boxes that are Linux itself (`KernelRouter`): its two NATs, and two firewalls.

Every box drops what comes from outside and belongs to nothing: Linux would otherwise track it
as a connection to the box itself, whose port the host inside then can't have any more, and
simultaneous hole punching would turn a well-behaved NAT into a symmetric one.
"""

from __future__ import annotations


def _rules(masquerade: str, forward: str) -> str:
    return f"""
table ip natlab {{
    chain input {{
        type filter hook input priority filter; policy drop;
        ct state established,related accept
    }}
    chain forward {{
        type filter hook forward priority filter; policy drop;
        {forward}
        iifname "outside" ct state established,related accept
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        oifname "outside" {masquerade}
    }}
}}
"""


_EVERYTHING_OUT = 'iifname "inside" accept'

MASQUERADE = _rules("masquerade", _EVERYTHING_OUT)
"""Port-restricted and port-preserving, as long as no two hosts want the same port."""
MASQUERADE_RANDOM = _rules("masquerade fully-random", _EVERYTHING_OUT)
"""Symmetric with random ports."""
UDP_BLOCKED = _rules("masquerade", f"meta l4proto udp drop\n        {_EVERYTHING_OUT}")
ONLY_TCP_443 = _rules("masquerade", 'iifname "inside" tcp dport 443 accept')
"""A firewall of the strict kind: nothing but connections to port 443 over TCP gets out."""
