"""voice-gateway: a WebSocket server that turns incremental text into gapless speech."""

__version__ = "0.1.0"
