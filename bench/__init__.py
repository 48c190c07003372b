"""Side-by-side measurements of TURN servers, coturn always in the same run (see README.md)."""
