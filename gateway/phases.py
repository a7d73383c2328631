"""The steps of starting up, as records of the log.

Each step that is over writes one record, which has the step's name as ``phase``; in JSON lines
(``log.json_lines``) it is a field of its own.  ``voice-gateway bench startup`` and operators read
the times from there, so no part of the gateway has to keep them.
"""

from __future__ import annotations

import logging


def phase(logger: logging.Logger, name: str, message: str, *values: object) -> None:
    """Say that the step ``name`` is over; ``message`` and ``values`` are as for ``logger.info``."""
    logger.info(message, *values, extra={"phase": name})
