from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
import pytest

from gateway.engine.cache import ChunkCache
from gateway.engine.cost import Prior
from gateway.engine.dispatcher import Dispatcher
from gateway.engine.job import Job
from gateway.engine.work import Stage
from gateway.errors import EngineCrashed, GatewayError, Overloaded, SynthesisError
from gateway.media import EncodedFrame, PcmBlock
from gateway.ops.metrics import Metrics
from gateway.synthesis import (
    EncodedRendering,
    Plan,
    Rendering,
    RequestId,
    SpokenWord,
    SynthesisRequest,
    TextChunk,
    Window,
)
from tests.engine.scripted import ScriptedEngine, crash_once, speech


class Recorder:
    """A track that keeps the PCM, and the listener of one job."""

    def __init__(self) -> None:
        self.pcm: list[np.ndarray] = []
        self.position_samples = 0
        self.renderings: list[EncodedRendering] = []
        self.error: GatewayError | None = None
        self.over = asyncio.Event()

    def write(self, block: PcmBlock) -> list[EncodedFrame]:
        self.pcm.append(block.samples)
        self.position_samples += len(block.samples) * 2
        return [EncodedFrame(b"f", 960)] * (len(block.samples) // 480)

    def deliver(self, rendered: EncodedRendering) -> None:
        self.renderings.append(rendered)
        if rendered.final:
            self.over.set()

    def fail(self, request: RequestId, error: GatewayError) -> None:
        self.error = error
        self.over.set()

    @property
    def samples(self) -> np.ndarray:
        return np.concatenate(self.pcm)

    async def wait(self) -> None:
        await asyncio.wait_for(self.over.wait(), 5)


class Desk:
    def __init__(
        self,
        engine: ScriptedEngine,
        *,
        priors: dict[str, Prior] | None = None,
        utilisation_max: float = 1.0,
        **options: int,
    ) -> None:
        self.engine = engine
        self.metrics = Metrics()
        self.cache = ChunkCache(options.get("cache_bytes_max", 1_000_000))
        self.dispatcher = Dispatcher(
            (engine,),
            lambda voice: engine,
            self.cache,
            self.metrics,
            queue_max=options.get("queue_max", 100),
            retries_max=options.get("retries_max", 1),
            utilisation_max=utilisation_max,
            priors=priors,
        )
        self.count = 0

    def ask(self, text: str, *, session: str = "s", deadline: float = 0.0) -> Recorder:
        recorder = Recorder()
        request_id = RequestId(session, "c", 0, self.count)
        self.count += 1
        chunk = TextChunk(text, 0, len(text), text, ())
        now = asyncio.get_running_loop().time()
        request = SynthesisRequest(request_id, chunk, "v", "en", 1.0, now + 1 + deadline, True)
        self.dispatcher.submit(Job(request, recorder, recorder.deliver, recorder.fail))
        return recorder


@pytest.fixture(params=[True, False], ids=["plans ahead", "streams"])
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    desk = Desk(ScriptedEngine(plans_ahead=request.param))
    yield desk
    desk.engine.gate.set()
    await desk.dispatcher.close()


async def test_a_chunk_is_planned_rendered_and_delivered_in_order(desk: Desk) -> None:
    recorder = desk.ask("hello world")
    await recorder.wait()
    assert np.array_equal(recorder.samples, speech("hello world"))
    assert [r.final for r in recorder.renderings].count(True) == 1
    assert recorder.renderings[-1].final
    assert {r.position_samples for r in recorder.renderings} == {0}
    assert recorder.renderings[-1].end_samples == 11 * 960
    assert sum(len(r.frames) for r in recorder.renderings) == 11


async def test_word_times_come_with_the_plan_or_with_the_audio(desk: Desk) -> None:
    recorder = desk.ask("abcdef")
    await recorder.wait()
    words = [word for r in recorder.renderings for word in r.words]
    spans = [(w.spoken_start, w.spoken_end, w.start_samples) for w in words]
    if desk.engine.info.plans_ahead:
        assert spans == [(0, 6, 0)]
    else:
        assert spans == [(i, i + 1, i * 960) for i in range(6)]


async def test_engines_are_called_in_their_lanes_only(desk: Desk) -> None:
    await desk.ask("hello").wait()
    assert all(name.startswith("scripted-lane") for name in desk.engine.threads)


async def test_a_crash_is_tried_again_without_repeating_audio(desk: Desk) -> None:
    desk.engine.on_render = crash_once(at_block=0 if desk.engine.info.plans_ahead else 3)
    recorder = desk.ask("hello")
    await recorder.wait()
    assert recorder.error is None
    assert np.array_equal(recorder.samples, speech("hello"))
    words = [word.spoken_start for r in recorder.renderings for word in r.words]
    assert words == sorted(set(words))
    assert b'engine_errors_total{code="engine_crashed",retried="true"} 1.0' in (
        desk.metrics.exposition()
    )


async def test_a_second_crash_is_told(desk: Desk) -> None:
    def always(_: int) -> None:
        crash_once(0)(0)

    desk.engine.on_render = always
    recorder = desk.ask("hello")
    await recorder.wait()
    assert recorder.error is not None
    assert recorder.error.code == "engine_crashed"
    desk.engine.on_render = lambda block: None
    again = desk.ask("hello")
    await again.wait()
    assert again.error is None


async def test_a_bug_in_an_engine_is_a_clear_error_and_is_not_retried(desk: Desk) -> None:
    def bug(_: int) -> None:
        raise ZeroDivisionError

    desk.engine.on_render = bug
    recorder = desk.ask("hello")
    await recorder.wait()
    assert recorder.error is not None
    assert recorder.error.code == "synthesis_failed"
    assert "scripted" in recorder.error.message
    assert len(desk.engine.rendered) == 1


async def test_text_that_cannot_be_planned_is_told() -> None:
    for plans_ahead in (True, False):
        desk = Desk(ScriptedEngine(plans_ahead=plans_ahead))
        recorder = desk.ask("unplannable")
        await recorder.wait()
        assert recorder.error is not None
        assert recorder.error.message == "this text cannot be planned"
        await desk.dispatcher.close()


async def test_what_was_spoken_before_comes_from_the_cache(desk: Desk) -> None:
    await desk.ask("one moment").wait()
    await asyncio.sleep(0.05)  # the lane ends a moment after its last delivery
    calls = len(desk.engine.rendered)
    recorder = desk.ask("one moment")
    await recorder.wait()
    assert np.array_equal(recorder.samples, speech("one moment"))
    assert len(desk.engine.rendered) == calls
    assert [w for r in recorder.renderings for w in r.words]
    assert (desk.cache.hits, desk.cache.misses) == (1, 1)


async def test_planned_words_survive_a_crash_and_the_cache() -> None:
    class Halving(ScriptedEngine):
        """Gives each planned window in two blocks, and crashes once between them."""

        def render(self, windows: Sequence[Window], emit: Callable[[int, Rendering], bool]) -> None:
            pcm = speech(str(windows[0].state))
            half = len(pcm) // 2
            emit(0, Rendering(PcmBlock(pcm[:half], 24_000), False))
            self.on_render(windows[0].index)
            emit(0, Rendering(PcmBlock(pcm[half:], 24_000), True))

    desk = Desk(Halving(plans_ahead=True))
    desk.engine.on_render = crash_once(at_block=0)
    heard = [desk.ask("abcdefgh")]
    await heard[0].wait()
    await asyncio.sleep(0.05)  # the lane ends a moment after its last delivery
    heard.append(desk.ask("abcdefgh"))
    await heard[1].wait()
    assert (desk.cache.hits, desk.cache.misses) == (1, 1)
    for recorder in heard:
        assert np.array_equal(recorder.samples, speech("abcdefgh"))
        words = [word for part in recorder.renderings for word in part.words]
        assert words == [SpokenWord(0, 8, 0, 8 * 960)]
    await desk.dispatcher.close()


async def test_an_engine_may_come_later() -> None:
    desk = Desk(ScriptedEngine(plans_ahead=True))
    later = ScriptedEngine(plans_ahead=False)
    dispatcher = Dispatcher(
        (), lambda voice: later, desk.cache, desk.metrics, queue_max=9, retries_max=1
    )
    assert dispatcher.utilisation() == 0.0
    dispatcher.check_load(1)
    dispatcher.add(later)
    desk.dispatcher, first = dispatcher, desk.dispatcher
    recorder = desk.ask("hello")
    await recorder.wait()
    assert np.array_equal(recorder.samples, speech("hello"))
    await dispatcher.close()
    await first.close()


async def test_withdrawn_work_is_dropped_whether_it_waits_or_runs(desk: Desk) -> None:
    desk.engine.gate.clear()
    running = desk.ask("running", session="a")
    await asyncio.to_thread(desk.engine.entered.acquire)
    waiting = desk.ask("waiting", session="b")
    desk.dispatcher.withdraw("a", "c", 0)
    desk.dispatcher.withdraw("b", "c", 0)
    assert desk.dispatcher.queued == 0
    desk.engine.gate.set()
    last = desk.ask("last", session="d")
    await last.wait()
    assert running.renderings == []
    assert waiting.renderings == []
    assert all(text != "waiting" for text, _ in desk.engine.rendered)
    assert desk.engine.stopped_by_emit == 1


async def test_withdrawing_what_nobody_asked_for_is_harmless(desk: Desk) -> None:
    desk.dispatcher.withdraw("nobody", "c", 0)


async def test_the_most_urgent_waiting_chunk_is_next(desk: Desk) -> None:
    desk.engine.gate.clear()
    first = desk.ask("zero", session="a")
    await asyncio.to_thread(desk.engine.entered.acquire)
    recorders = [
        desk.ask("late", session="b", deadline=9.0),
        desk.ask("soon", session="c", deadline=1.0),
        desk.ask("noon", session="d", deadline=5.0),
    ]
    desk.engine.gate.set()
    for recorder in (first, *recorders):
        await recorder.wait()
    assert [text for text, _ in desk.engine.rendered] == ["zero", "soon", "noon", "late"]


async def test_a_full_queue_refuses_what_is_new(desk: Desk) -> None:
    small = Desk(desk.engine, queue_max=1)
    desk.engine.gate.clear()
    taken = small.ask("taken", session="a")
    refused = small.ask("refused", session="b")
    await refused.wait()
    assert refused.error is not None
    assert (refused.error.code, refused.error.limit) == ("overloaded", 1)
    desk.engine.gate.set()
    await taken.wait()
    assert taken.error is None
    await small.dispatcher.close()


async def test_the_next_chunk_may_be_asked_for_while_the_last_one_is_delivered(desk: Desk) -> None:
    followers: list[Recorder] = []

    class Eager(Recorder):
        def deliver(self, rendered: EncodedRendering) -> None:
            if rendered.final:
                followers.append(desk.ask("second"))
            super().deliver(rendered)

    eager = Eager()
    chunk = TextChunk("first", 0, 5, "first", ())
    request = SynthesisRequest(RequestId("s", "c", 0, 99), chunk, "v", "en", 1.0, 1e9, True)
    desk.dispatcher.submit(Job(request, eager, eager.deliver, eager.fail))
    await eager.wait()
    await followers[0].wait()
    assert np.array_equal(followers[0].samples, speech("second"))
    desk.dispatcher.withdraw("s", "c", 0)


# ── batches ────────────────────────────────────────────────────────────────────────────────────

BATCHING_PAYS: Prior = {
    (Stage.PLAN, 128, 1): 0.05,
    (Stage.PLAN, 128, 2): 0.05,
    (Stage.RENDER, None, 1): 0.05,
    (Stage.RENDER, None, 2): 0.05,
}


@pytest.fixture(params=[True, False], ids=["plans ahead", "streams"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A desk whose engine takes two at a time."""
    engine = ScriptedEngine(plans_ahead=request.param, window_characters=20, batch_max=2)
    desk = Desk(engine, priors={"scripted": BATCHING_PAYS})
    yield desk
    desk.engine.gate.set()
    await desk.dispatcher.close()


async def ask_together(desk: Desk, *texts: str) -> list[Recorder]:
    """Ask for all while the only lane is busy, so that they wait together."""
    desk.engine.gate.clear()
    busy = desk.ask("busy", session="busy")
    await asyncio.to_thread(desk.engine.entered.acquire)
    recorders = [desk.ask(text, session=text, deadline=5.0) for text in texts]
    desk.engine.gate.set()
    await busy.wait()
    return recorders


async def test_chunks_that_wait_together_are_spoken_in_one_call(pair: Desk) -> None:
    left, right = await ask_together(pair, "left", "right one")
    await left.wait()
    await right.wait()
    assert np.array_equal(left.samples, speech("left"))
    assert np.array_equal(right.samples, speech("right one"))
    assert pair.engine.batches == [["busy"], ["left", "right one"]]
    if pair.engine.info.plans_ahead:
        assert pair.engine.planned == [["busy"], ["left", "right one"]]


async def test_a_chunk_that_is_withdrawn_from_a_batch_leaves_the_other_alone(pair: Desk) -> None:
    loop = asyncio.get_running_loop()

    async def withdraw() -> None:
        pair.dispatcher.withdraw("left", "c", 0)

    def on_text(text: str) -> None:
        if text == "left":
            asyncio.run_coroutine_threadsafe(withdraw(), loop).result(5)

    pair.engine.on_text = on_text
    left, right = await ask_together(pair, "left", "right one")
    await right.wait()
    assert left.renderings == []
    assert left.error is None
    assert np.array_equal(right.samples, speech("right one"))
    assert pair.engine.batches == [["busy"], ["left", "right one"]]
    assert pair.engine.stopped_by_emit == 1


@pytest.mark.parametrize("error", [SynthesisError("poison"), ZeroDivisionError()])
async def test_a_poisonous_chunk_fails_alone(pair: Desk, error: Exception) -> None:
    def on_text(text: str) -> None:
        if text == "poison":
            raise error

    pair.engine.on_text = on_text
    good, bad = await ask_together(pair, "healthy", "poison")
    await good.wait()
    await bad.wait()
    assert good.error is None
    assert np.array_equal(good.samples, speech("healthy"))
    assert [r.final for r in good.renderings].count(True) == 1
    assert bad.error is not None
    assert bad.error.code == "synthesis_failed"
    assert ["healthy", "poison"] in pair.engine.batches
    assert pair.engine.batches[-1] == ["poison"]


async def test_what_a_failed_batch_had_completed_is_not_spoken_again() -> None:
    desk = Desk(ScriptedEngine(plans_ahead=False, batch_max=2), priors={"scripted": BATCHING_PAYS})
    desk.engine.on_render = crash_once(at_block=4)
    short, long = await ask_together(desk, "abc", "abcdefg")
    await short.wait()
    await long.wait()
    assert np.array_equal(short.samples, speech("abc"))
    assert np.array_equal(long.samples, speech("abcdefg"))
    assert desk.engine.batches == [["busy"], ["abc", "abcdefg"], ["abcdefg"]]
    assert [r.final for r in short.renderings] == [False, True]
    await desk.dispatcher.close()


async def test_a_crash_in_company_is_not_counted_against_anybody(pair: Desk) -> None:
    crashes = [2]

    def on_text(text: str) -> None:
        if text != "busy" and crashes[0]:
            crashes[0] -= 1
            raise EngineCrashed("the scripted engine crashed")

    pair.engine.on_text = on_text  # once in the batch, once with "left" alone: its only retry
    left, right = await ask_together(pair, "left", "right one")
    await left.wait()
    await right.wait()
    assert (left.error, right.error) == (None, None)
    assert np.array_equal(left.samples, speech("left"))


async def test_an_engine_that_forgets_a_plan_is_a_clear_error() -> None:
    class Forgetful(ScriptedEngine):
        def plan(self, requests: Sequence[SynthesisRequest]) -> Sequence[Plan | SynthesisError]:
            return super().plan(requests)[1:]

    desk = Desk(Forgetful(plans_ahead=True))
    recorder = desk.ask("hello")
    await recorder.wait()
    assert recorder.error is not None
    assert recorder.error.code == "synthesis_failed"
    await desk.dispatcher.close()


async def test_a_window_without_a_last_block_is_a_clear_error() -> None:
    class Breaking(ScriptedEngine):
        def _block(self, blocks: list[str], number: int) -> Rendering:
            rendering = super()._block(blocks, number)
            return Rendering(rendering.pcm, False, rendering.words)

    desk = Desk(Breaking(plans_ahead=False))
    recorder = desk.ask("hello")
    await recorder.wait()
    assert recorder.error is not None
    assert recorder.error.code == "synthesis_failed"
    await desk.dispatcher.close()


async def test_a_cached_chunk_that_cannot_be_encoded_is_told() -> None:
    desk = Desk(ScriptedEngine(plans_ahead=True))
    await desk.ask("hello").wait()
    await asyncio.sleep(0.05)  # the lane ends a moment after its last delivery

    class Broken(Recorder):
        def write(self, block: PcmBlock) -> list[EncodedFrame]:
            raise ZeroDivisionError

    broken = Broken()
    chunk = TextChunk("hello", 0, 5, "hello", ())
    request = SynthesisRequest(RequestId("s", "c", 0, 99), chunk, "v", "en", 1.0, 1e9, True)
    desk.dispatcher.submit(Job(request, broken, broken.deliver, broken.fail))
    await broken.wait()
    assert broken.error is not None
    assert broken.error.code == "synthesis_failed"
    await desk.dispatcher.close()


# ── admission ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("plans_ahead", [True, False])
async def test_a_busy_engine_takes_no_more_sessions(plans_ahead: bool) -> None:
    roomy = Desk(ScriptedEngine(plans_ahead=plans_ahead))
    tight = Desk(ScriptedEngine(plans_ahead=plans_ahead), utilisation_max=1e-9)
    tight.dispatcher.check_load(3)  # nothing was measured yet
    for desk in (roomy, tight):
        await desk.ask("x" * 150).wait()  # 3 s of audio
        await asyncio.sleep(0.05)  # the lane ends a moment after its last delivery
        assert desk.dispatcher.utilisation() > 0
    roomy.dispatcher.check_load(3)
    waiting = tight.ask("y" * 150)
    with pytest.raises(Overloaded) as caught:
        tight.dispatcher.check_load(3)
    assert caught.value.retry_after_s is not None
    await waiting.wait()
    for desk in (roomy, tight):
        await desk.dispatcher.close()


async def test_a_deadline_that_moves_moves_work_that_waits(desk: Desk) -> None:
    first = desk.ask("hello", session="a", deadline=5.0)
    for job in desk.dispatcher._jobs.values():
        job.due._opens = False  # it continues a talkspurt
    before = next(iter(desk.dispatcher._jobs.values())).due.due_at
    desk.dispatcher.reschedule("a", "c", 0, before + 2.0)
    desk.dispatcher.reschedule("nobody", "c", 0, 1.0)
    assert next(iter(desk.dispatcher._jobs.values())).due.due_at == pytest.approx(before + 2.0)
    await first.wait()
    desk.dispatcher.reschedule("a", "c", 0, 1.0)
    assert first.error is None
