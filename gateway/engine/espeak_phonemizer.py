"""Phonemes from espeak-ng, for engines that were trained on them.

It keeps workers of its own, one by default: a sentence takes a fraction of a millisecond, so one
serves hundreds of streams, and phonemes never wait for speech.  As ever, espeak-ng itself stays
behind the process boundary.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gateway.engine.espeak import installed_folder, spawn_worker
from gateway.engine.espeak_pool import WorkerPool
from gateway.engine.espeak_process import WorkerProcess
from gateway.errors import EngineCrashed, EngineTimeout
from gateway.settings import EspeakSettings

TRIES = 2
"""A worker that dies is replaced at once, and the text is none the worse for a second try."""


class EspeakPhonemizer:
    """Workers that phonemise; any thread may call ``phonemize``."""

    def __init__(self, settings: EspeakSettings, workers: int = 1) -> None:
        self._settings = settings
        self._folder: Path | None = None
        self._pool = WorkerPool(self._spawn, workers, acquire_timeout_s=settings.timeout_s)

    def start(self) -> None:
        """Start the workers.  Raises SetupError if the extra ``espeak`` is not installed."""
        self._folder = installed_folder()
        self._pool.start()

    def close(self) -> None:
        """End the workers; idempotent."""
        self._pool.close()

    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers that are ready now."""
        return self._pool.pids()

    def phonemize(self, selector: str, texts: Sequence[str]) -> list[str]:
        """IPA of each of ``texts`` in espeak's language ``selector`` (``gmw/en-US``).

        Words are separated by spaces, the letters of one phoneme by ``PHONEME_TIE``.  Texts hold no
        line feed.  Raises EngineCrashed or EngineTimeout if two workers died, or one hung.
        """
        for tries_left in reversed(range(TRIES)):
            worker = self._pool.acquire()
            try:
                return worker.phonemize(selector, texts)
            except EOFError as error:
                if not tries_left:
                    raise EngineCrashed(
                        f"espeak-ng worker {worker.pid} died as it phonemised, and so did another"
                    ) from error
            except TimeoutError as error:
                raise EngineTimeout(
                    f"espeak-ng worker {worker.pid} gave no phonemes for "
                    f"{self._settings.timeout_s} s (engine.espeak.timeout_s) and is replaced"
                ) from error
            finally:
                self._pool.release(worker)
        raise AssertionError("unreachable")

    def _spawn(self) -> WorkerProcess:
        assert self._folder is not None, "start() comes first"
        return spawn_worker(self._settings, self._folder)
