"""Every error that the gateway raises, and how each is answered.

    GatewayError
    ├── ClientError            the client's fault; the message names field, value and limit
    │   ├── ProtocolViolation  malformed, or illegal in this state
    │   ├── InvalidValue       a field out of its range, an unknown voice
    │   ├── LimitExceeded      a limit of the settings
    │   ├── Unauthorized       no API key, or a wrong one
    │   ├── ForbiddenOrigin    a browser page that is not allowed here
    │   └── ResumeRefused      a session that can't be gone on with: open a new one
    ├── Unavailable            no room, or draining: try again later
    │   ├── Overloaded
    │   └── Draining
    ├── SynthesisError         the engine failed on this chunk
    │   ├── EngineCrashed      …and another try may succeed
    │   └── EngineTimeout      …likewise
    └── SetupError             the operator's fault: a missing library, a wrong setting

Each class knows its WebSocket close code (RFC 6455, section 7.4; 4000–4999 are ours) and its HTTP
status.  Whether an error ends the session is the session's decision, not the error's.
"""

from __future__ import annotations


class GatewayError(Exception):
    """Base of all; ``code`` is the stable name that clients may test."""

    code = "internal_error"
    close_code = 1011
    http_status = 500
    retry_after_s: float | None = None

    def __init__(
        self, message: str, *, field: str | None = None, limit: float | str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.limit = limit


class ClientError(GatewayError):
    """The client's fault; repeating the same message fails again."""

    code = "bad_request"
    close_code = 1008
    http_status = 400


class ProtocolViolation(ClientError):
    """A message that is malformed or illegal in the present state."""

    code = "protocol_violation"
    close_code = 1002


class InvalidValue(ClientError):
    """A field whose value is out of range or unknown."""

    code = "invalid_value"
    http_status = 422


class LimitExceeded(ClientError):
    """A limit of the settings would be passed; the message that would pass it had no effect."""

    code = "limit_exceeded"
    http_status = 413


class Unauthorized(ClientError):
    """No API key, or a wrong one."""

    code = "unauthorized"
    close_code = 4401
    http_status = 401


class ForbiddenOrigin(ClientError):
    """A browser page whose origin is not allowed."""

    code = "forbidden_origin"
    close_code = 4403
    http_status = 403


class ResumeRefused(ClientError):
    """The session is unknown, over, not this client's, or too far behind: open a new one."""

    code = "resume_refused"
    close_code = 4404
    http_status = 404


class Unavailable(GatewayError):
    """No room at present; the same request may succeed in ``retry_after_s``, if that is known."""

    code = "unavailable"
    close_code = 1013
    http_status = 503

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        limit: float | str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, field=field, limit=limit)
        self.retry_after_s = retry_after_s


class Overloaded(Unavailable):
    """The gateway has as many sessions as it can serve in time."""

    code = "overloaded"


class Draining(Unavailable):
    """The gateway is shutting down and takes no new sessions."""

    code = "draining"
    close_code = 1012


class SynthesisError(GatewayError):
    """The engine failed on a chunk; the session goes on."""

    code = "synthesis_failed"
    retryable = False


class EngineCrashed(SynthesisError):
    """The engine's process died while it worked on the chunk."""

    code = "engine_crashed"
    retryable = True


class EngineTimeout(SynthesisError):
    """The engine gave no audio within its time limit and was replaced."""

    code = "engine_timeout"
    retryable = True


class SetupError(GatewayError):
    """A missing library or a wrong setting; the message says what to do."""

    code = "setup_error"
