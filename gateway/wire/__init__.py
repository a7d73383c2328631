"""One file per protocol: its messages to and from the session's events."""
