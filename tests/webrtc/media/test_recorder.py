"""What is recorded can be played, by PyAV alone and by us: lengths, pictures, sound, in step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import trio

from tests.webrtc.media import native_threads
from webrtc.media.errors import MediaFileError
from webrtc.media.files import open_file
from webrtc.media.frames import VideoFrame
from webrtc.media.pacing import Pacer
from webrtc.media.pattern import draw_pattern, read_pattern
from webrtc.media.recorder import open_recorder
from webrtc.media.tone import draw_tone, read_tone

RATE = 25
SECONDS = 2.0


def picture(index: int, width: int = 320, height: int = 240) -> VideoFrame:
    return draw_pattern(index, width, height, index * 90_000 // RATE)


async def record(path: Path, seconds: float = SECONDS, **options: Any) -> None:
    """Record pattern and tone, with 50 frames of sound and 25 pictures a second."""
    async with open_recorder(path, **options) as recorder:
        for index in range(round(seconds * 50)):
            if options.get("audio", True):
                await recorder.write(draw_tone(440, index * 960, channels=1))
            if options.get("video", True) and index % 2 == 0:
                await recorder.write(picture(index // 2))


def length_of(path: Path, kind: str) -> tuple[float, int]:
    """Return seconds from the first frame's begin to the last one's, and how many, by PyAV."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        times = [frame.time for frame in container.decode(stream) if frame.time is not None]
    return times[-1] - times[0], len(times)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
async def test_pictures_and_sound_can_be_played_again(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"call.{suffix}"
    await record(path)
    with av.open(str(path)) as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(SECONDS, abs=0.1)
    span, count = length_of(path, "video")
    assert count == SECONDS * RATE
    assert span == pytest.approx(SECONDS - 1 / RATE, abs=0.01)
    async with open_file(path, paced=False) as file:
        assert file.video is not None
        assert file.audio is not None
        async for frame in file.video:
            reading = read_pattern(frame)
            assert reading is not None
            assert reading.is_intact
            assert frame.time == pytest.approx(reading.counter / RATE, abs=0.01)
        sound = [frame async for frame in file.audio]
    assert {(frame.rate, frame.channels) for frame in sound} == {(48_000, 2)}
    assert sum(frame.duration for frame in sound) == pytest.approx(SECONDS, abs=0.05)
    tone = read_tone(*sound[5:-5])
    assert tone.frequency == pytest.approx(440, abs=0.5)
    assert tone.purity > 0.95


@pytest.mark.parametrize("suffix", ["wav", "ogg"])
async def test_sound_alone_can_be_played_again(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"call.{suffix}"
    await record(path, channels=1)  # pictures have no place there, and are dropped
    async with open_file(path, paced=False) as file:
        assert file.video is None
        assert file.audio is not None
        assert file.duration == pytest.approx(SECONDS, abs=0.02)
        sound = [frame async for frame in file.audio]
    assert sum(frame.duration for frame in sound) == pytest.approx(SECONDS, abs=0.02)
    assert read_tone(*sound[5:-5]).frequency == pytest.approx(440, abs=0.5)


async def test_a_wav_file_has_the_samples_themselves(tmp_path: Path) -> None:
    path = tmp_path / "exact.wav"
    tone = draw_tone(440, 0, 12_345)
    async with open_recorder(path, video=False, channels=1) as recorder:
        await recorder.write(tone)
    async with open_file(path, paced=False) as file:
        assert file.audio is not None
        samples = np.concatenate([frame.samples async for frame in file.audio])
    assert np.array_equal(samples, tone.samples)


async def test_picture_and_sound_stay_in_step_whatever_their_own_clocks_say(
    tmp_path: Path,
) -> None:
    """A flash and a beep at once, with pts of unrelated time lines, sound beginning later."""
    path = tmp_path / "sync.mkv"
    zero = 1000.0
    async with open_recorder(path, channels=1) as recorder:
        for tick in range(150):
            time = tick / 50
            loud = 1.6 <= time < 1.7
            if time >= 0.5:
                pts = 77_000_000 + tick * 960
                sound = draw_tone(1000, pts, amplitude=0.5 if loud else 0.0)
                await recorder.write(sound, at=zero + time)
            if tick % 2 == 0:
                luma = np.full((64, 64), 235 if loud else 16, np.uint8)
                grey = np.full((32, 32), 128, np.uint8)
                await recorder.write(VideoFrame(luma, grey, grey, 5 * tick), at=zero + time)
    async with open_file(path, paced=False) as file:
        assert file.video is not None
        assert file.audio is not None
        flash = [frame.time async for frame in file.video if frame.y.mean() > 120]
        beep = [frame.time async for frame in file.audio if frame.level_dbov < 20]
    assert flash == pytest.approx([1.6, 1.64, 1.68], abs=0.01)
    assert beep[0] == pytest.approx(1.6, abs=0.025)
    assert beep[-1] == pytest.approx(1.68, abs=0.025)


async def test_holes_in_sound_are_silence_and_overlaps_are_cut(tmp_path: Path) -> None:
    path = tmp_path / "holes.wav"
    async with open_recorder(path, video=False, channels=1) as recorder:
        for second in (0.0, 0.5, 2.0):
            await recorder.write(draw_tone(440, 0, 48_000), at=second)
    async with open_file(path, paced=False) as file:
        assert file.audio is not None
        samples = np.concatenate([frame.samples[:, 0] async for frame in file.audio])
    assert len(samples) == 3 * 48_000
    loud = np.abs(samples.reshape(-1, 480)).max(axis=1) > 1000
    expected = np.array([True] * 150 + [False] * 50 + [True] * 100)
    assert np.array_equal(loud, expected)


async def test_a_jump_of_hours_does_not_become_hours_of_silence(tmp_path: Path) -> None:
    path = tmp_path / "jump.wav"
    async with open_recorder(path, video=False, channels=1) as recorder:
        await recorder.write(draw_tone(440, 0, 48_000), at=0)
        await recorder.write(draw_tone(440, 0, 48_000), at=40_000)
        await recorder.write(draw_tone(440, 0, 48_000), at=40_001)
    assert length_of(path, "audio")[0] < 3.1


async def test_a_track_that_never_came_does_not_lose_the_other(tmp_path: Path) -> None:
    path = tmp_path / "voice.mp4"
    async with open_recorder(path) as recorder:
        for index in range(300):
            await recorder.write(draw_tone(440, index * 960))
        # Too late: the file has no such track any more.
        await recorder.write(picture(150))
        assert recorder.dropped == 1
    async with open_file(path, paced=False) as file:
        assert file.video is None
        assert file.duration == pytest.approx(6, abs=0.1)


async def test_pictures_of_other_sizes_are_fitted(tmp_path: Path) -> None:
    path = tmp_path / "sizes.mp4"
    sizes = [(320, 240), (160, 120), (640, 480), (320, 240)]
    async with open_recorder(path, audio=False) as recorder:
        for index, size in enumerate(sizes):
            await recorder.write(picture(index, *size))
        await recorder.write(picture(1))  # its place is taken
        assert recorder.dropped == 1
    async with open_file(path, paced=False) as file:
        assert file.video is not None
        frames = [frame async for frame in file.video]
    assert [(frame.width, frame.height) for frame in frames] == [(320, 240)] * 4
    readings = [read_pattern(frame) for frame in frames]
    assert [reading and reading.counter for reading in readings] == [0, 1, 2, 3]


async def test_a_cancelled_recording_is_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    threads = await native_threads.warmed_up()
    with trio.CancelScope() as scope:
        async with open_recorder(path) as recorder:
            for index in range(50):
                await recorder.write(draw_tone(440, index * 960))
                await recorder.write(picture(index))
            scope.cancel()
            await recorder.write(picture(50))
    assert scope.cancelled_caught
    await native_threads.assert_at_most(threads)
    assert length_of(path, "video")[1] == 50


async def test_what_cannot_be_recorded_says_why(tmp_path: Path) -> None:
    cases: tuple[tuple[Path, dict[str, bool]], ...] = (
        (tmp_path / "call.avi", {}),
        (tmp_path / "call.wav", {"audio": False}),
        (tmp_path / "none" / "call.mp4", {}),
    )
    for path, options in cases:
        with pytest.raises(MediaFileError, match="call"):
            async with open_recorder(path, video=True, audio=options.get("audio", True)):
                pass


async def test_a_recording_without_frames_is_no_error(tmp_path: Path) -> None:
    async with open_recorder(tmp_path / "empty.mp4"):
        pass


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    trio.run(lambda: record(path))
    return path


async def test_a_files_tracks_are_paced_by_their_pts_and_together(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[tuple[Pacer, float]] = []

    async def wait_until(pacer: Pacer, time: float) -> float:
        await trio.lowlevel.checkpoint()
        waits.append((pacer, time))
        return 0.0

    monkeypatch.setattr(Pacer, "wait_until", wait_until)
    async with open_file(clip) as file:
        assert file.video is not None
        assert file.audio is not None
        pictures = [await anext(file.video) for _ in range(5)]
        sounds = [await anext(file.audio) for _ in range(5)]
    expected = [frame.time for frame in pictures] + [frame.time for frame in sounds]
    assert [time for _, time in waits] == expected
    assert len({id(pacer) for pacer, _ in waits}) == 1
    assert [frame.time for frame in pictures] == pytest.approx(
        [index / RATE for index in range(5)], abs=0.001
    )
    assert [frame.time for frame in sounds] == pytest.approx(
        [index / 50 for index in range(5)], abs=0.02
    )


async def test_a_file_can_begin_again(clip: Path) -> None:
    async with open_file(clip, paced=False, loop=True) as file:
        assert file.video is not None
        assert file.duration is not None
        frames = [await anext(file.video) for _ in range(round(SECONDS * RATE) * 2 + 1)]
    counters = [reading.counter for frame in frames if (reading := read_pattern(frame))]
    assert counters == [*range(50), *range(50), 0]
    times = [frame.time for frame in frames]
    assert times[50] - times[0] == pytest.approx(file.duration, abs=0.001)
    assert times == sorted(times)


async def test_what_is_no_media_file_says_so(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no film " * 1000)
    for path in (text, tmp_path / "absent.mp4", tmp_path):
        with pytest.raises(MediaFileError):
            async with open_file(path):
                pass
