"""Signals whose place can be found again after a codec, and the way back from frames to samples."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gateway.codecs.base import CodecInfo
from gateway.codecs.catalog import make_decoder
from gateway.media import MEDIA_RATE, EncodedFrame, Samples


def sine(frequency: float, count: int, rate: int, amplitude: float = 0.5) -> Samples:
    """``count`` samples of a sine that begins at phase 0."""
    phase = 2 * np.pi * frequency * np.arange(count) / rate
    return (amplitude * np.sin(phase)).astype(np.float32)


def chirp(rate: int, duration_s: float = 0.03) -> Samples:
    """A sweep from 300 to 3,000 Hz under a Hann window: its autocorrelation has one sharp peak."""
    t = np.arange(round(duration_s * rate)) / rate
    sweep = np.sin(2 * np.pi * (300 * t + (3000 - 300) / duration_s * t**2 / 2))
    return (0.6 * sweep * np.hanning(len(t))).astype(np.float32)


def voice(count: int, rate: int, seed: int = 7) -> Samples:
    """Something like speech: harmonics of a gliding pitch, syllables, and a little noise."""
    t = np.arange(count) / rate
    pitch = 2 * np.pi * (120 * t + 3 * np.sin(2 * np.pi * 1.5 * t))
    tone = sum(np.sin(k * pitch) / k for k in range(1, 25))
    syllables = 0.5 - 0.5 * np.cos(2 * np.pi * 4 * t)
    noise = np.random.default_rng(seed).standard_normal(count) * 0.01
    return (0.15 * tone * syllables + noise).astype(np.float32)


def decode(frames: Iterable[EncodedFrame], info: CodecInfo, rate: int | None = None) -> Samples:
    """What a listener hears: all frames decoded at ``rate``, the pre-skip dropped."""
    rate = rate or info.sample_rate
    decoder = make_decoder(info.name, rate)
    heard = np.concatenate([decoder.decode(frame.payload) for frame in frames])
    return heard[info.preskip_samples * rate // MEDIA_RATE :]


def place_of(pattern: Samples, heard: Samples, near: int, reach: int) -> int:
    """Offset in ``heard``, within ``reach`` of ``near``, at which ``pattern`` fits best."""
    start = max(0, near - reach)
    window = heard[start : near + reach + len(pattern)]
    window = np.pad(window, (0, max(0, len(pattern) - len(window))))
    return start + int(np.argmax(np.correlate(window, pattern, "valid")))


def signal_to_noise_db(reference: Samples, heard: Samples) -> float:
    """Ratio of the reference's power to that of the difference."""
    difference = reference.astype(np.float64) - heard
    noise = np.mean(difference**2)
    signal = np.mean(reference.astype(np.float64) ** 2)
    return float(10 * np.log10(signal / noise)) if noise else float("inf")
