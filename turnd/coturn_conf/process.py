"""coturn's options for TLS, the process, logs, and metrics."""

from __future__ import annotations

import os

from turnd.config.values import Endpoint, IpAddress
from turnd.coturn_conf.translation import Translation

_LEVELS = ("debug", "info", "warning", "error")


def translate_tls(t: Translation, folder: str) -> None:
    """Translate the certificate and what protocols are taken.

    Args:
        t: the translation.
        folder: where relative file names start.

    """
    certificate, key = t.last("cert"), t.last("pkey")
    if t.flag("no-tls") and t.flag("no-dtls"):
        for unused in t.every("cert", "pkey", "pkey-pwd"):
            t.info(unused, "not used: TLS and DTLS are off")
    elif certificate is not None and key is not None:
        t.set("tls", "certificate", os.path.join(folder, certificate.value), certificate)
        t.set("tls", "private_key", os.path.join(folder, key.value), key)
        password = t.last("pkey-pwd")
        if password is not None:
            t.set("tls", "private_key_password", password.value, password)
    elif certificate is None and key is None and (lone := t.last("pkey-pwd")) is not None:
        t.info(lone, "not used: there is no pkey")
    ciphers = t.last("cipher-list")
    if ciphers is not None:
        # coturn's word for "whatever OpenSSL has", which turnd's own choice is a part of.
        value = "" if ciphers.value.upper() == "DEFAULT" else ciphers.value
        t.set("tls", "ciphers", value, ciphers)
    newest_only = t.flag("no-tlsv1_2")
    if newest_only is not None:
        t.set("tls", "minimum_version", "1.3", newest_only)
        t.set("listen", "dtls", [], newest_only)
        t.info(newest_only, "DTLS is 1.2, so it is off")


def translate_process(t: Translation, folder: str) -> None:
    """Translate threads, identity, and files of the process."""
    threads = t.number("relay-threads", at_most=1024)
    if threads is not None:
        # 0 is coturn's "all in one thread"; turnd's 0 is one per core.
        t.set("server", "threads", max(threads, 1), t.last("relay-threads"))
    silent = t.flag("no-software-attribute") or t.flag("prod")
    if silent is not None:
        t.set("server", "software", "", silent)
    for option, key in (("proc-user", "user"), ("proc-group", "group")):
        source = t.last(option)
        if source is not None:
            t.set("server", key, source.value, source)
    pidfile = t.last("pidfile")
    if pidfile is not None:
        t.set("server", "pidfile", os.path.join(folder, pidfile.value), pidfile)


def translate_logs(t: Translation, folder: str) -> None:
    """Translate how much is logged and where to."""
    moderate = t.flag("verbose")
    if moderate is not None:
        t.set("log", "level", "info", moderate)
    everything = t.flag("Verbose")
    if everything is not None:
        t.set("log", "level", "debug", everything)
    least = t.last("log-min-level")
    if least is not None and least.value.lower() in _LEVELS:
        t.set("log", "level", least.value.lower(), least)
    elif least is not None:
        t.error(least, "is none of debug, info, warning, error")
    file = t.last("log-file")
    if file is None:
        return
    if file.value in {"stdout", "-", "syslog"}:
        t.set("log", "file", "", file)
        t.info(file, "logs go to standard error, which systemd's journal keeps")
    elif t.flag("syslog"):
        t.info(file, "not used: syslog is set, so logs go to standard error")
    else:
        t.set("log", "file", os.path.join(folder, file.value), file)


def translate_metrics(t: Translation) -> None:
    """Translate the Prometheus port, which coturn opens on every address, without a path to it."""
    on = t.flag("prometheus")
    details = t.every("prometheus-port", "prometheus-address", "prometheus-username-labels")
    if on is None:
        t.set("metrics", "listen", "", None)
        for statement in details:
            t.info(statement, "not used: prometheus is not set")
        return
    port = t.number("prometheus-port", at_least=1, at_most=65535) or 9641
    host, source = "0.0.0.0", on  # noqa: S104 - what coturn does
    for address, statement in t.parsed(IpAddress, "prometheus-address"):
        host, source = str(address), statement
    endpoint = Endpoint(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    t.set("metrics", "listen", str(endpoint), t.last("prometheus-port") or source)
    if endpoint.is_wildcard:
        t.info(on, "as with coturn, metrics can be read on every address; see metrics.listen")
    labels = t.flag("prometheus-username-labels")
    if labels is not None:
        t.set("metrics", "per_user", True, labels)
