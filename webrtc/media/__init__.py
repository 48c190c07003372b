"""Media for the peer: frames, codecs, sources and sinks, over PyAV and numpy.

Codecs are synchronous (`codecs`); `worker` runs them in threads under trio. Sources are
asynchronous iterators of frames, sinks have `write`. `pattern` and `tone` are pictures and sounds
that can be recognised at the far end.
"""

from webrtc.media.codecs import (
    AudioDecoder,
    AudioEncoder,
    AudioSettings,
    CodecName,
    Decoded,
    VideoDecoder,
    VideoEncoder,
    VideoSettings,
    audio_decoder,
    audio_encoder,
    video_decoder,
    video_encoder,
)
from webrtc.media.convert import AudioConverter, from_rgb, scale, to_rgb
from webrtc.media.errors import CodecError, MediaError, MediaFileError, UnknownCodecError
from webrtc.media.files import MediaFile, open_file
from webrtc.media.frames import AudioFrame, EncodedFrame, VideoFrame
from webrtc.media.pacing import Pacer
from webrtc.media.pattern import PatternReading, draw_pattern, psnr, read_pattern
from webrtc.media.recorder import Recorder, open_recorder
from webrtc.media.sinks import BlackHole, Sink, pump
from webrtc.media.sources import ArrayAudio, ArrayVideo, FrameQueue, PatternVideo, ToneAudio
from webrtc.media.tone import ToneReading, draw_tone, read_tone
from webrtc.media.worker import (
    CodecWorker,
    audio_decoder_worker,
    audio_encoder_worker,
    open_worker,
    video_decoder_worker,
    video_encoder_worker,
)

__all__ = [
    "ArrayAudio",
    "ArrayVideo",
    "AudioConverter",
    "AudioDecoder",
    "AudioEncoder",
    "AudioFrame",
    "AudioSettings",
    "BlackHole",
    "CodecError",
    "CodecName",
    "CodecWorker",
    "Decoded",
    "EncodedFrame",
    "FrameQueue",
    "MediaError",
    "MediaFile",
    "MediaFileError",
    "Pacer",
    "PatternReading",
    "PatternVideo",
    "Recorder",
    "Sink",
    "ToneAudio",
    "ToneReading",
    "UnknownCodecError",
    "VideoDecoder",
    "VideoEncoder",
    "VideoFrame",
    "VideoSettings",
    "audio_decoder",
    "audio_decoder_worker",
    "audio_encoder",
    "audio_encoder_worker",
    "draw_pattern",
    "draw_tone",
    "from_rgb",
    "open_file",
    "open_recorder",
    "open_worker",
    "psnr",
    "pump",
    "read_pattern",
    "read_tone",
    "scale",
    "to_rgb",
    "video_decoder",
    "video_decoder_worker",
    "video_encoder",
    "video_encoder_worker",
]
