"""The TURN server without I/O: requests and a time in; replies and table changes out."""
