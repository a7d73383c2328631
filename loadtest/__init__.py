"""Benchmarks of the gateway: each one command, each with its reference measured in the same run.

    python -m loadtest overhead    what the gateway adds to the engine's time to first audio
    python -m loadtest pacing      many sessions on one process, against a bare sender
    python -m loadtest compare     did B get worse than A: runs in turn, an interval, a verdict
    python -m loadtest peer        another server beside ours: first audio, gaps, capacity

    loadtest process ──► gateway process ──► espeak workers        (measured)
        │         └────► reference process                         (bare engine, or bare sender)
        └──────────────► listeners process                         (pacing: the clients)

Machines are noisy and differ, so no figure stands alone: gateway and reference are measured in
turn, in one run, and compared as a ratio.  Every process is on loopback and ends with the run.
Linux only: the figures come from /proc and from the kernel's receive time stamps.

Not part of the gateway package; docs/benchmarks.md has results, method and the limits of both.
"""
