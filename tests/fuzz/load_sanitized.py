"""A pytest plugin (`-p tests.fuzz.load_sanitized`): the tests run against the sanitized engine."""

from tests.fuzz.sanitized import load

load()
