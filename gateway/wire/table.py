"""Every protocol that is spoken, and where.

Of routes that share a path the first that claims a client serves it, so that the one that takes
what others leave comes last.
"""

from __future__ import annotations

from gateway.wire import cartesia, deepgram, elevenlabs_http, openai, voice_v1
from gateway.wire.base import SocketRoute, WireRoute

ROUTES: tuple[WireRoute, ...] = (
    *deepgram.ROUTES,
    SocketRoute("/v1/speak", voice_v1, resumable=True),
    *elevenlabs_http.ROUTES,
    *cartesia.ROUTES,
    *openai.ROUTES,
)
