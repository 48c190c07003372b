"""Whether what the configuration points to on this machine is there and fits."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from turnd.config.problem import Problem
from turnd.config.schema import Path
from turnd.config.sections import Config, Server, Tls


def file_problems(config: Config) -> Iterator[Problem]:
    """Yield what is missing or unfit among certificates, users, groups, and folders."""
    yield from _identity(config.server)
    yield from _folders(config)
    if config.tls.certificate and config.tls.private_key:
        yield from _certificate(config.tls)


def _identity(server: Server) -> Iterator[Problem]:
    if server.user and not _exists(pwd.getpwnam, server.user):
        yield Problem(("server", "user"), f'there is no user "{server.user}" on this machine')
    if server.group and not _exists(grp.getgrnam, server.group):
        yield Problem(("server", "group"), f'there is no group "{server.group}" on this machine')


def _exists(lookup: Callable[[str], object], name: str) -> bool:
    try:
        lookup(name)
    except KeyError:
        return False
    return True


def _folders(config: Config) -> Iterator[Problem]:
    files: dict[Path, str] = {
        ("server", "pidfile"): config.server.pidfile,
        ("log", "file"): config.log.file,
        ("auth", "user_database"): config.auth.user_database,
    }
    for path, file in files.items():
        folder = os.path.dirname(os.path.abspath(file))
        if file and not os.path.isdir(folder):
            yield Problem(path, f"there is no folder {folder}")


def _certificate(tls: Tls) -> Iterator[Problem]:
    try:
        with open(tls.certificate, "rb") as stream:
            chain = x509.load_pem_x509_certificates(stream.read())
    except OSError as error:
        yield Problem(("tls", "certificate"), f"{tls.certificate} can't be read: {error.strerror}")
        return
    except ValueError:
        yield Problem(("tls", "certificate"), f"{tls.certificate} holds no PEM certificate")
        return
    password = tls.private_key_password.encode() or None
    try:
        with open(tls.private_key, "rb") as stream:
            key = serialization.load_pem_private_key(stream.read(), password)
    except OSError as error:
        yield Problem(("tls", "private_key"), f"{tls.private_key} can't be read: {error.strerror}")
    except TypeError:
        # What cryptography raises for a password too many or one too few.
        have = "is not encrypted" if password else "is encrypted"
        change = "unset" if password else "set"
        yield Problem(("tls", "private_key"), f"{have}; {change} tls.private_key_password")
    except (ValueError, UnsupportedAlgorithm):
        yield Problem(
            ("tls", "private_key"),
            f"{tls.private_key} holds no PEM private key that this password opens"
            if password
            else f"{tls.private_key} holds no usable PEM private key",
        )
    else:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if key.public_key().public_bytes(*form) != chain[0].public_key().public_bytes(*form):
            yield Problem(
                ("tls", "private_key"),
                f"is not the key of the first certificate in {tls.certificate}",
            )
