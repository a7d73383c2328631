"""The audio of one generation: PCM at any rate in, frames out, and where each sample sounds.

    write(block) ──► Resampler ──► Framer ──► Codec ──► EncodedFrame …

Media time counts from the first sample that the encoder was fed, and never jumps:

    │◄─── talkspurt ───►│◄ padding ►│◄─── talkspurt ───►│◄ padding ►│
    │ f0 │ f1 │ f2 │ f3 │ f4 │ f5 │ f6 │ …                             every frame 20 ms
    0                   ▲           ▲
              end_samples           position_samples after finish()

A sample fed to the encoder at position p is decoded at p + pre-skip; once the listener has dropped
the pre-skip it sounds at p.  So ``position_samples``, read before a write, is exactly where the
first sample of that write will be heard, though it may still wait in the resampler or a frame.

``finish`` ends a talkspurt.  It flushes the resampler and feeds silence: the encoder's lookahead,
without which the last samples could not be decoded, and what the last frame lacks.  That padding is
part of media time: the next talkspurt begins after it.  A talkspurt's padding is shorter than the
lookahead plus a frame, or a frame where nothing else was left.

Positions are whole samples of the codec's rate, hence multiples of 2 ticks of media time at 24 kHz.
At each block of another source rate, and at each finish, the resampler ends its signal and counts
what it returned, rounded to the nearest codec sample; so errors do not add up within a signal.

One writer at a time; may move between threads.
"""

from __future__ import annotations

import numpy as np

from gateway.codecs.base import Codec
from gateway.codecs.framer import Framer
from gateway.codecs.resampler import Resampler
from gateway.errors import SynthesisError
from gateway.media import EncodedFrame, PcmBlock, Samples, to_media_samples


class Track:
    """Owns ``codec``, which must be new or reset, for one generation.

    ``source_rate`` in Hz prepares the resampler; the blocks decide in any case.
    """

    __slots__ = (
        "_codec",
        "_encoded_frames",
        "_finished",
        "_framer",
        "_info",
        "_padding",
        "_padding_total",
        "_resampler",
        "_settled",
    )

    def __init__(self, codec: Codec, source_rate: int | None = None) -> None:
        self._codec = codec
        self._info = codec.info
        self._framer = Framer(self._info.frame_samples)
        self._resampler = Resampler(source_rate or self._info.sample_rate, self._info.sample_rate)
        self._encoded_frames = 0
        # All in samples of the codec's rate.
        self._settled = 0  # position at which the resampler's present signal begins
        self._finished = 0  # position after the last finish
        self._padding = 0  # what the last finish added
        self._padding_total = 0

    @property
    def position_samples(self) -> int:
        """Media time at which the next sample given to ``write`` will sound."""
        return to_media_samples(self._position, self._info.sample_rate)

    @property
    def end_samples(self) -> int:
        """Media time just after the last sample written; ``position_samples`` less the padding."""
        end = self._position - (self._padding if self._is_finished else 0)
        return to_media_samples(end, self._info.sample_rate)

    @property
    def written_samples(self) -> int:
        """Media time of the audio written so far, without any padding."""
        return to_media_samples(self._position - self._padding_total, self._info.sample_rate)

    @property
    def encoded_samples(self) -> int:
        """Media time of the frames returned so far, padding included."""
        return self._encoded_frames * self._info.frame_duration_samples

    def write(self, block: PcmBlock) -> list[EncodedFrame]:
        """Encode ``block``; returns the frames that it completes.

        Raises SynthesisError, and takes nothing, if a sample is not a finite number.
        """
        samples = block.samples
        assert samples.ndim == 1, f"PCM is mono, of shape [n], not {samples.shape}"
        assert samples.dtype == np.float32, f"PCM is float32, not {samples.dtype}"
        if not len(samples):
            return []
        if not np.isfinite(samples).all():
            raise SynthesisError("The engine gave samples that are not finite numbers.")
        frames = []
        if block.sample_rate != self._resampler.rate_in:
            frames = self._encode(self._framer.write(self._end_signal()))
            self._resampler = Resampler(block.sample_rate, self._info.sample_rate)
        return frames + self._encode(self._framer.write(self._resampler.write(samples)))

    def finish(self) -> list[EncodedFrame]:
        """End the talkspurt: returns frames until its last sample can be decoded.

        Does nothing if no sample is due since the last time.  Writes may follow.
        """
        if self._is_finished:
            return []
        frames = self._encode(self._framer.write(self._end_signal()))
        frames += self._encode(self._framer.finish(extra=self._info.flush_samples))
        if not frames:
            # What ends a talkspurt must be a frame, so that it can be marked as the last.
            frames = self._encode(self._framer.finish(extra=1))
        fed = self._encoded_frames * self._info.frame_samples
        self._padding = fed - self._settled
        self._padding_total += self._padding
        self._settled = self._finished = fed
        return frames

    @property
    def _position(self) -> int:
        return self._settled + self._resampler.due_samples

    @property
    def _is_finished(self) -> bool:
        return self._position == self._finished

    def _end_signal(self) -> Samples:
        """Take what is left in the resampler, and count it as settled."""
        self._settled += self._resampler.due_samples
        return self._resampler.finish()

    def _encode(self, frames: list[Samples]) -> list[EncodedFrame]:
        duration = self._info.frame_duration_samples
        self._encoded_frames += len(frames)
        return [EncodedFrame(self._codec.encode(frame), duration) for frame in frames]
