"""The roots that libwebrtc brings along, by fingerprint.

A native client of libwebrtc (not a browser: those use their own store) trusts for `turns:`
only the list compiled into it, `rtc_base/ssl_roots.h`. Notably, Let's Encrypt's ISRG roots
are not in it. The list here was read out of a built libwebrtc (PyPI's wrtc 0.1); an
application that sets a certificate verifier of its own is not bound to it.
"""

from __future__ import annotations

LIBWEBRTC_ROOTS = {
    "d7a7a0fb5d7e2731d771e9484ebcdef7": "AAA Certificate Services",
    "0376ab1d54c5f9803ce4b2e201a0ee7e": "AffirmTrust Commercial",
    "0a81ec5a929777f145904af38d5d509f": "AffirmTrust Networking",
    "70a73f7f376b60074248904534b11482": "AffirmTrust Premium",
    "bd71fdf6da97e4cf62d1647add2581b0": "AffirmTrust Premium ECC",
    "16af57a9f676b0ab126095aa5ebadef2": "Baltimore CyberTrust Root",
    "0c2cd63df7806fa399ede809116b575b": "COMODO Certification Authority",
    "1793927a0614549789adce2f8f34f7f0": "COMODO ECC Certification Authority",
    "52f0e1c4e58ec629291b60317f074671": "COMODO RSA Certification Authority",
    "3e9099b5015e8f486c00bcea9d111ee7": "DigiCert Assured ID Root CA",
    "7d05ebb682339f8c9451ee094eebfefa": "DigiCert Assured ID Root G2",
    "7e37cb8b4c47090cab36551ba6f45db8": "DigiCert Assured ID Root G3",
    "4348a0e9444c78cb265e058d5e8944b4": "DigiCert Global Root CA",
    "cb3ccbb76031e5e0138f8dd39a23f9de": "DigiCert Global Root G2",
    "31ad6648f8104138c738f39ea4320133": "DigiCert Global Root G3",
    "7431e5f4c3c1ce4690774f0b61e05440": "DigiCert High Assurance EV Root CA",
    "552f7bdcf1a7af9e6ce672017f4f12ab": "DigiCert Trusted Root G4",
    "73c176434f1bc6d5adf45b0e76e72728": "Entrust Root Certification Authority",
    "02ed0eb28c14da45165c566791700d64": "Entrust Root Certification Authority - EC1",
    "43df5774b03e7fef5fe40d931a7bedf1": "Entrust Root Certification Authority - G2",
    "6dc47172e01cbcb0bf62580d895fe2b8": "Entrust.net Certification Authority (2048)",
    "d947432abde7b7fa90fc2e6b59101b12": "GTS Root R1",
    "8d25cd97229dbf70356bda4eb3cc7340": "GTS Root R2",
    "34d8a73ee208d9bcdb0d956520934b4e": "GTS Root R3",
    "349dfa4058c5e263123b398ae795573c": "GTS Root R4",
    "b085d70b964f191a73e4af0d54ae7a0e": "GlobalSign ECC Root CA - R4",
    "179fbc148a3dd00fd24ea13458cc43bf": "GlobalSign ECC Root CA - R5",
    "ebd41040e4bb3ec742c9e381d31ef2a4": "GlobalSign Root CA",
    "cbb522d7b7f127ad6a0113865bdf1cd4": "GlobalSign Root CA - R3",
    "2cabeafe37d06ca22aba7391c0033d25": "GlobalSign Root CA - R6",
    "c3846bf24b9e93ca64274c0ec67c1ecc": "Go Daddy Class 2 Certification Authority",
    "45140b3247eb9cc8c5b4f0d7b53091f7": "Go Daddy Root Certificate Authority - G2",
    "1465fa205397b876faa6f0a9958e5590": "Starfield Class 2 Certification Authority",
    "2ce1cb0bf9d2f9e102993fbe215152c3": "Starfield Root Certificate Authority - G2",
    "4ff460d54b9c86dabfbcfc5712e0400d": "USERTrust ECC Certification Authority",
    "e793c9b02fd8aa13e21c31228accb081": "USERTrust RSA Certification Authority",
}
"""Name of each root by the first 16 bytes of its DER's SHA-256, in hex."""
