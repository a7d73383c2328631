"""Cuts a stream of samples into frames of one length.

    blocks  │────── 700 ──────│── 300 ──│──────── 600 ────────│
    frames  │──── 480 ────│──── 480 ────│──── 480 ────│─ 160 ─   ◄ kept until more comes

A frame that lies inside a block is a view of it.  One that spans blocks is gathered in one of two
buffers used in turn, because the rest of the block is kept while the caller still reads the frame.
Frames are therefore valid until the next call.
"""

from __future__ import annotations

import numpy as np

from gateway.media import Samples


class Framer:
    """Frames of ``frame_samples`` samples; one writer."""

    __slots__ = ("_frame_samples", "_kept", "_pending", "_silence", "_spare")

    def __init__(self, frame_samples: int) -> None:
        assert frame_samples > 0, frame_samples
        self._frame_samples = frame_samples
        self._kept = np.zeros(frame_samples, np.float32)
        self._spare = np.zeros(frame_samples, np.float32)
        self._silence = np.zeros(frame_samples, np.float32)
        self._silence.flags.writeable = False
        self._pending = 0

    @property
    def pending_samples(self) -> int:
        """Samples kept, fewer than a frame."""
        return self._pending

    def write(self, samples: Samples) -> list[Samples]:
        """Return the frames that ``samples`` complete; keep the rest."""
        size = self._frame_samples
        frames = []
        start = 0
        if self._pending:
            start = min(size - self._pending, len(samples))
            self._kept[self._pending : self._pending + start] = samples[:start]
            self._pending += start
            if self._pending < size:
                return []
            frames.append(self._kept)
            self._kept, self._spare = self._spare, self._kept
        whole = (len(samples) - start) // size
        frames += [samples[start + i * size : start + (i + 1) * size] for i in range(whole)]
        rest = samples[start + whole * size :]
        self._pending = len(rest)
        self._kept[: self._pending] = rest
        return frames

    def finish(self, extra: int = 0) -> list[Samples]:
        """Add ``extra`` samples of silence, fill the last frame with more, and return the frames.

        Nothing is kept afterwards.  Without pending samples and extra ones, there is no frame.
        """
        count = -(-(self._pending + extra) // self._frame_samples)
        frames = [self._silence] * count
        if self._pending:
            self._kept[self._pending :] = 0
            frames[0] = self._kept
            self._kept, self._spare = self._spare, self._kept
            self._pending = 0
        return frames
