"""How different two signals sound: the distance of their log mel spectra.

80 bands from 0 to 12 kHz (mel after O'Shaughnessy: 2595 log10(1 + f / 700)), Hann windows of 1024
samples every 256, levels more than 80 dB under the reference's loudest band counted as that.  It
does not see phase, and so judges a vocoder better than the waveform's difference does.
"""

from __future__ import annotations

import numpy as np

from gateway.engine.kokoro.reading import SAMPLE_RATE
from gateway.engine.kokoro.windows import Floats

BANDS, FFT, HOP = 80, 1024, 256
FLOOR_DB = 80.0


def spectral_distance_db(pcm: Floats, reference: Floats) -> float:
    """Root mean square of the difference, in dB; both mono at 24 kHz, of one length."""
    expected = log_mel(reference)
    floor = expected.max() - FLOOR_DB
    apart = np.maximum(log_mel(pcm), floor) - np.maximum(expected, floor)
    return float(np.sqrt(np.mean(apart**2)))


def log_mel(pcm: Floats) -> Floats:
    """Log mel power in dB, [frames, BANDS]."""
    frames = np.lib.stride_tricks.sliding_window_view(pcm, FFT)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FFT))) ** 2
    mels: Floats = 10 * np.log10(np.maximum(power @ _MEL.T, 1e-12)).astype(np.float32)
    return mels


def _mel_filters() -> Floats:
    edges_mel = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), BANDS + 2)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    bins = np.fft.rfftfreq(FFT, 1 / SAMPLE_RATE)[None, :]
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    filters: Floats = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return filters


_MEL = _mel_filters()
