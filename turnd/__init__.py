"""A STUN/TURN server on trio."""

__version__ = "0.1.0"
