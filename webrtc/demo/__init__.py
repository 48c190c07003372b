"""A page on which a browser calls a Python peer: ``python -m webrtc.demo``, then open the URL.

Video and audio both ways, a chat and a file over data channels, live statistics, and a relay in
between at a click. `call` is the peer's side of a call, in a page of code to begin with.
"""
