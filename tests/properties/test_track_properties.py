"""However PCM is cut into blocks and talkspurts, a track conserves every sample."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.codecs.base import Codec
from gateway.codecs.framer import Framer
from gateway.codecs.opus import OpusEncoder
from gateway.codecs.pcm import PcmEncoder
from gateway.codecs.resampler import Resampler
from gateway.codecs.track import Track
from gateway.media import EncodedFrame, PcmBlock
from tests.codecs.signals import decode, voice

VOICE = voice(12_000, 22_050)

cuts = st.lists(st.integers(0, 12_000), max_size=25).map(
    lambda places: [0, *sorted(places), 12_000]
)

codecs = st.sampled_from(
    [
        lambda: OpusEncoder(sample_rate=24_000),
        lambda: OpusEncoder(sample_rate=8_000, frame_duration_ms=60, complexity=0),
        lambda: PcmEncoder("pcm", sample_rate=24_000),
        lambda: PcmEncoder("pcm", sample_rate=22_050, frame_duration_ms=40),
        lambda: PcmEncoder("pcmu", sample_rate=8_000),
    ]
)

steps = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1_500), st.sampled_from([16_000, 22_050, 24_000, 48_000])),
        st.none(),  # finish
    ),
    max_size=25,
)


def write_cut(codec: Codec, places: list[int]) -> list[EncodedFrame]:
    track = Track(codec)
    frames = []
    for start, stop in pairwise(places):
        frames += track.write(PcmBlock(VOICE[start:stop], 22_050))
    return frames + track.finish()


@given(places=cuts, make=codecs)
@settings(max_examples=60, deadline=None)
def test_any_cut_into_blocks_gives_the_same_frames(
    places: list[int], make: Callable[[], Codec]
) -> None:
    assert write_cut(make(), places) == write_cut(make(), [0, 12_000])


def nearest(count: int, rate_in: int, rate_out: int) -> int:
    """``count * rate_out / rate_in`` rounded, halves up."""
    return floor(Fraction(count * rate_out, rate_in) + Fraction(1, 2))


class Model:
    """What a track should say, in samples of the codec's rate; knows no buffers."""

    def __init__(self, codec: Codec) -> None:
        self.rate, self.frame = codec.info.sample_rate, codec.info.frame_samples
        self.lookahead = codec.info.lookahead_samples
        self.start, self.count, self.source = 0, 0, self.rate  # the signal that is open
        self.finished = self.end = self.padding = 0

    @property
    def position(self) -> int:
        return self.start + nearest(self.count, self.source, self.rate)

    def write(self, count: int, source: int) -> None:
        if count and source != self.source:
            self.start, self.count, self.source = self.position, 0, source
        self.count += count
        if self.position != self.finished:
            self.end = self.position

    def finish(self, encoded: int) -> None:
        """The talkspurt ends when ``encoded`` frames have been returned; there is one more."""
        if self.position == self.finished:
            return
        frames = max(encoded + 1, ceil(Fraction(self.position + self.lookahead, self.frame)))
        self.finished = frames * self.frame
        self.padding += self.finished - self.position
        self.start, self.count = self.finished, 0


@given(steps=steps, make=codecs)
@settings(max_examples=150, deadline=None)
def test_the_accounts_of_a_track_balance(
    steps: list[tuple[int, int] | None], make: Callable[[], Codec]
) -> None:
    codec = make()
    track, model = Track(codec), Model(codec)
    frames: list[EncodedFrame] = []
    for step in [*steps, None]:
        if step is None:
            model.finish(encoded=len(frames))
            frames += track.finish()
            assert len(frames) * model.frame == model.finished
        else:
            frames += track.write(PcmBlock(np.zeros(step[0], np.float32), step[1]))
            model.write(*step)
            assert len(frames) * model.frame <= model.position
        assert track.encoded_samples == sum(frame.duration_samples for frame in frames)
        assert track.position_samples == nearest(model.position, model.rate, 48_000)
        assert track.end_samples == nearest(model.end, model.rate, 48_000)
        assert track.written_samples == nearest(model.position - model.padding, model.rate, 48_000)


@given(places=cuts)
@settings(max_examples=60, deadline=None)
def test_pcm_at_its_own_rate_is_carried_without_a_change(places: list[int]) -> None:
    codec = PcmEncoder("pcm", sample_rate=22_050)
    heard = decode(write_cut(codec, places), codec.info)
    assert np.array_equal(heard[:12_000], np.rint(VOICE * 32_768) / np.float32(32_768))
    assert not heard[12_000:].any()


@given(
    count=st.integers(0, 6_000),
    block=st.integers(1, 2_000),
    rates=st.tuples(*[st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])] * 2),
)
@settings(max_examples=150, deadline=None)
def test_a_resampler_returns_exactly_what_is_due(
    count: int, block: int, rates: tuple[int, int]
) -> None:
    resampler = Resampler(*rates)
    returned = 0
    for start in range(0, count, block):
        returned += len(resampler.write(np.zeros(min(block, count - start), np.float32)))
        assert returned <= resampler.due_samples
    due = resampler.due_samples
    assert returned + len(resampler.finish()) == due
    assert abs(due - count * rates[1] / rates[0]) <= 0.5


@given(sizes=st.lists(st.integers(0, 40), max_size=40), extra=st.integers(0, 30))
def test_a_framer_keeps_order_and_number(sizes: list[int], extra: int) -> None:
    framer = Framer(12)
    out: list[float] = []
    next_value = 1
    for size in sizes:
        block = np.arange(next_value, next_value + size, dtype=np.float32)
        next_value += size
        for frame in framer.write(block):
            assert frame.shape == (12,)
            out += frame.tolist()
    for frame in framer.finish(extra):
        out += frame.tolist()
    total = next_value - 1
    assert out[:total] == list(range(1, next_value))
    assert not any(out[total:])
    assert total + extra <= len(out) < total + extra + 12
