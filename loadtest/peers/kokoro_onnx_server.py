"""The smallest server that one would write around ``kokoro-onnx``; run by its own interpreter.

    python kokoro_onnx_server.py MODEL.onnx VOICES.npz PORT

OpenAI's ``/v1/audio/speech``: each sentence of the input is one ``Kokoro.create()`` in a thread,
sent when it is done, as PCM of 16 bit at 24 kHz.  The library's defaults everywhere; its silence
trimming too.  It imports nothing of ours, so that its environment needs nothing of ours.
"""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator

import numpy as np
import uvicorn
from kokoro_onnx import Kokoro
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


def make_app(kokoro: Kokoro) -> Starlette:
    """The whole server."""

    async def speech(request: Request) -> Response:
        wanted = await request.json()
        if wanted.get("response_format") != "pcm":
            return JSONResponse({"error": "response_format: only pcm is spoken"}, 400)

        async def audio() -> AsyncIterator[bytes]:
            for sentence in re.split(r"(?<=[.!?])\s+", wanted["input"].strip()):
                samples, _ = await run_in_threadpool(kokoro.create, sentence, wanted["voice"])
                yield (np.clip(samples, -1, 1) * 32_767).astype("<i2").tobytes()

        return StreamingResponse(audio(), media_type="audio/pcm")

    async def ready(_: Request) -> Response:
        return JSONResponse({"voices": kokoro.get_voices()})

    return Starlette(
        routes=[Route("/v1/audio/speech", speech, methods=["POST"]), Route("/readyz", ready)]
    )


if __name__ == "__main__":
    model, voices, port = sys.argv[1:]
    uvicorn.run(make_app(Kokoro(model, voices)), port=int(port), log_level="warning")
