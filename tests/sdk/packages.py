"""The packages under test, and how long what they return sounds.

They are skipped where they are not installed; ``make test-sdk`` installs and requires them.
"""

from __future__ import annotations

import io
import os
import warnings
from importlib import import_module
from typing import Any

import av
import pytest

MARKS = [
    pytest.mark.sdk,
    pytest.mark.filterwarnings("ignore"),  # what these packages deprecate is not our concern
]
TEXT = "Hello there. This is the second sentence, and it costs $5 today."
LONG = "This is said at great length, and then it goes on for quite a while. " * 12


def package(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if os.environ.get("SDK_PACKAGES") == "required":
            return import_module(name)
        return pytest.importorskip(name)


def decoded_s(data: bytes) -> float:
    """Seconds of a file in a container that FFmpeg knows."""
    with av.open(io.BytesIO(data)) as file:
        return float(sum(frame.samples / frame.sample_rate for frame in file.decode(audio=0)))


def raw_s(data: bytes, sample_rate: int, sample_bytes: int = 2) -> float:
    assert len(data) % sample_bytes == 0
    return len(data) / sample_bytes / sample_rate
