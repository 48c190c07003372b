"""Listeners for clients over TCP, TLS and DTLS, and RFC 6062 peer connections."""
