"""Codecs: PCM of an engine in, frames for a client out; knows neither sessions nor engines.

    PcmBlock ──Resampler──► codec rate ──Framer──► exact frames ──Codec──► EncodedFrame
              └──────────────────────── Track owns the row ───────────────────────┘

``catalog`` names the codecs, ``track`` is what a session writes to, ``files`` serves the CLI.
"""
