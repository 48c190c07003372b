"""A codec's library must not make this process's threads real-time ones (SVT-AV1 does, as root)."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.webrtc.media.pictures import camera
from webrtc.media.codecs.av_video import AvVideoEncoder
from webrtc.media.codecs.base import CodecName
from webrtc.media.codecs.scheduling import ordinary_threads


def policies() -> set[int]:
    return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}


@pytest.mark.parametrize("codec", [CodecName.AV1, CodecName.H264, CodecName.VP8, CodecName.VP9])
def test_encoders_leave_every_thread_its_ordinary_scheduling(codec: CodecName) -> None:
    encoder = AvVideoEncoder(codec)
    encoder.encode(camera(1)[0])
    assert policies() == {os.SCHED_OTHER}
    encoder.close()


def test_what_became_real_time_inside_is_ordinary_again() -> None:
    if os.geteuid():
        pytest.skip("only root may have real-time threads")
    with ordinary_threads():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_thread_that_was_real_time_before_stays_so() -> None:
    if os.geteuid():
        pytest.skip("only root may have real-time threads")
    found = []

    def run() -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        with ordinary_threads():
            pass
        found.append(os.sched_getscheduler(0))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [os.SCHED_FIFO]
