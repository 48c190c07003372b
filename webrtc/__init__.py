"""A WebRTC peer for trio: SDP, DTLS, SRTP, SCTP, RTP and media over `ice_client`."""
