"""SCTP for data channels, without I/O: RFC 9260 over DTLS, with RFC 3758, 6525, 8260 and 8832."""
