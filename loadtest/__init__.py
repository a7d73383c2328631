"""Benchmarks of the gateway, and a load test for any gateway: each one command.

    python -m loadtest overhead    what the gateway adds to the engine's time to first audio
    python -m loadtest pacing      many sessions on one process, against a bare sender
    python -m loadtest compare     did B get worse than A: runs in turn, an interval, a verdict
    python -m loadtest peer        another server beside ours: first audio, gaps, capacity
    python -m loadtest run         many callers as in production, and what their listeners heard
    python -m loadtest capacity    how many of them are served well, as one number
    python -m loadtest targets     the project's targets on this machine
    python -m loadtest soak        hours of good and bad callers; fails on growth

    loadtest process ──► gateway process ──► espeak workers        (measured)
        │         └────► reference process                         (bare engine, or bare sender)
        ├──────────────► listeners process                         (pacing: the clients)
        └──────────────► callers processes                         (run … soak: the clients)

The first two measure gateway and reference in turn, in one run, and compare them as a ratio, as
machines are noisy and differ.  The others know nothing of the server but its public protocol and
/metrics, and say when they were themselves too late to be trusted.

    answers, script ──► caller, listening ──► outcome ──► audible, load_figures ──► verdict
    (what is planned)   (one session)         (what came) (what it means)           (limits, files)
           callers.py and measure.py are the shells: sockets, processes

Every process of ours is on loopback and ends with the run.  Linux only: the figures come from
/proc and from the kernel's receive time stamps.

Not part of the gateway package; docs/benchmarks.md has results, method and the limits of both.
"""
