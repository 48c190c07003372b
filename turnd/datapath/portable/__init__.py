"""The portable engine: pure Python on trio. Always there, and the reference for the others."""

from turnd.datapath.portable.engine import PortableDatapath

__all__ = ["PortableDatapath"]
