"""Other servers beside ours: the same texts, the same arrivals, the same player.

    kokoro-onnx   the library, behind the smallest server that one would write; made here
    piper         its own HTTP server, with a voice that you have; made here
    openai        any server that speaks OpenAI's /v1/audio/speech, by URL
    elevenlabs    any server that speaks ElevenLabs' stream-input, by URL
    voice.v1, cartesia, deepgram (and the two above without a URL): our gateway, by each protocol

    spoken.py        what a listener heard (pure)          load.py     arrivals, one load step
    drivers.py       one function for each protocol        table.py    figures, capacity (pure)
    environments.py  a virtual environment for each peer   servers.py  their processes

docs/benchmarks.md, "Peers", has results, method and limits.
"""
