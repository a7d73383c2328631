"""From the frames of a context to the samples of its speech.

Each generation is a new codec stream: the decoder is reset, and what it returns first (the pre-skip
of RFC 7845, section 4.2) is dropped, so that the first sample out is the first one spoken and word
times agree with positions in the output.
"""

from __future__ import annotations

import numpy as np

from gateway.client.wire import Audio, Started
from gateway.codecs.catalog import make_decoder
from gateway.media import MEDIA_RATE, Samples


class StreamDecoder:
    """Decodes the audio of one context, generation after generation, in order.

    Raises SetupError if the codec is Opus and there is no libopus.
    """

    __slots__ = ("_decoder", "_generation", "_preskip", "_to_skip")

    def __init__(self, started: Started) -> None:
        self._decoder = make_decoder(started.codec, started.sample_rate)
        self._preskip = started.preskip_samples * started.sample_rate // MEDIA_RATE
        self._generation = started.generation
        self._to_skip = self._preskip

    def decode(self, audio: Audio) -> Samples:
        """Samples, shape [n], float32; n may be 0.  Raises InvalidValue for a corrupt frame."""
        if audio.generation != self._generation:
            self._generation = audio.generation
            self._decoder.reset()
            self._to_skip = self._preskip
        samples = np.concatenate([self._decoder.decode(frame) for frame in audio.frames])
        skipped = min(self._to_skip, len(samples))
        self._to_skip -= skipped
        return samples[skipped:]
