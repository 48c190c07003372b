"""Where frames go: what has `write`. Recording is in `recorder`, numpy's queue in `sources`."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Protocol, TypeVar

import trio

F_contra = TypeVar("F_contra", contravariant=True)
F = TypeVar("F")


class Sink(Protocol[F_contra]):
    """Takes frames."""

    async def write(self, frame: F_contra) -> None:
        """Take one, as soon as there is room."""


class BlackHole:
    """Takes every frame and keeps none.

    Attributes:
        count: frames that it took.

    """

    def __init__(self) -> None:
        self.count = 0

    async def write(self, frame: object) -> None:
        """Take one."""
        del frame
        self.count += 1
        await trio.lowlevel.checkpoint()


async def pump(source: AsyncIterable[F], sink: Sink[F]) -> None:
    """Carry frames from a source to a sink until the source ends."""
    async for frame in source:
        await sink.write(frame)
