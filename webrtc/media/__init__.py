"""Media for the peer: frames, codecs, sources and sinks, over PyAV and numpy.

Codecs are synchronous (`codecs`); `worker` runs them in threads under trio. Sources are
asynchronous iterators of frames, sinks have `write`. `pattern` and `tone` are pictures and sounds
that can be recognised at the far end.
"""
