"""The server's configuration: typed, from TOML, the environment, and the command line.

`load_config` is the way in for a TOML file (`turnd.coturn_conf.load_any` for either
format); everything it can find wrong is a `ConfigError`.
"""

from turnd.config.advice import warnings
from turnd.config.auth_sections import Auth, OauthKey, Realm, User
from turnd.config.draft import Draft, Place
from turnd.config.environment import CONFIG_FILE_VARIABLE
from turnd.config.errors import ConfigError
from turnd.config.listeners import Listener
from turnd.config.load import finish, load_config
from turnd.config.render import differences, print_config, render_toml
from turnd.config.schema import all_keys, dotted, keys_of
from turnd.config.sections import (
    Config,
    Listen,
    Log,
    Metrics,
    Mobility,
    NatDiscovery,
    Peers,
    Quota,
    RateLimit,
    Redirect,
    Relay,
    Server,
    Tls,
)
from turnd.config.values import (
    AddressRange,
    Base64Key,
    Endpoint,
    ExternalAddress,
    FilePath,
    IpAddress,
    Md5Key,
    Network,
    PortRange,
    Secret,
    Sha256Key,
)

__all__ = [
    "CONFIG_FILE_VARIABLE",
    "AddressRange",
    "Auth",
    "Base64Key",
    "Config",
    "ConfigError",
    "Draft",
    "Endpoint",
    "ExternalAddress",
    "FilePath",
    "IpAddress",
    "Listen",
    "Listener",
    "Log",
    "Md5Key",
    "Metrics",
    "Mobility",
    "NatDiscovery",
    "Network",
    "OauthKey",
    "Peers",
    "Place",
    "PortRange",
    "Quota",
    "RateLimit",
    "Realm",
    "Redirect",
    "Relay",
    "Secret",
    "Server",
    "Sha256Key",
    "Tls",
    "User",
    "all_keys",
    "differences",
    "dotted",
    "finish",
    "keys_of",
    "load_config",
    "print_config",
    "render_toml",
    "warnings",
]
