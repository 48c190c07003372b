"""coturn's turnserver.conf: read as it is, or turned into TOML.

`load_any` reads either format; `convert_to_toml` writes ours. What can't be taken over is
told by `Diagnostic`s that name the line.
"""

from turnd.coturn_conf.diagnostics import Diagnostic, Severity
from turnd.coturn_conf.load import (
    CoturnConfError,
    convert_to_toml,
    is_toml,
    load_any,
    load_coturn,
)
from turnd.coturn_conf.options import OPTIONS, Option, Takes, Treatment
from turnd.coturn_conf.translate import Translated, translate

__all__ = [
    "OPTIONS",
    "CoturnConfError",
    "Diagnostic",
    "Option",
    "Severity",
    "Takes",
    "Translated",
    "Treatment",
    "convert_to_toml",
    "is_toml",
    "load_any",
    "load_coturn",
    "translate",
]
