"""What a reload can't change."""

import msgspec

from turnd.config import Config, all_keys, dotted
from turnd.config.restart import AT_START_ONLY, needs_restart


def test_keys_that_need_a_start_exist() -> None:
    assert {dotted(path) for path in all_keys()} >= AT_START_ONLY


def test_only_what_differs_and_needs_a_start_is_named() -> None:
    old = Config()
    new = msgspec.structs.replace(
        old,
        server=msgspec.structs.replace(old.server, threads=3, realm="other.example"),
        quota=msgspec.structs.replace(old.quota, allocations=5),
    )
    assert needs_restart(old, new) == ["server.threads"]
    assert needs_restart(old, old) == []
