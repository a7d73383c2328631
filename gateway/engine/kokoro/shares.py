"""Which provider runs which share of a graph, from onnxruntime's profile of one run.

The profile is a JSON list of events; those of category "Node" whose name ends in "_kernel_time"
are runs of a node, with its provider and microseconds.  A provider that takes over a part of the
graph (CoreML, TensorRT) shows that part as one node, so ``nodes`` counts it once: many such nodes
mean many crossings between providers.  Their share of the *time* is what counts.  Which unit of
Apple's a CoreML part ran on, onnxruntime does not know; the option MLComputeUnits limits it, and
its option ProfileComputePlan has CoreML log its plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gateway.engine.kokoro.cases import Case
from gateway.engine.kokoro.stages import open_session_for, window_dimensions
from gateway.engine.placement import Share, Way

_KERNEL = "_kernel_time"


def provider_shares(file: Path, way: Way, case: Case, folder: Path) -> list[Share]:
    """Run the graph once more with profiling, its profile written to ``folder`` and deleted."""
    dimensions = window_dimensions(1, case.frames) if way.static else {}
    session = open_session_for(file, way, way.provider, dimensions, profile=folder / way.stage)
    session.run(None, dict(case.feed))
    session.run(None, dict(case.feed))  # the first allocates
    profile = Path(session.end_profiling())
    events = json.loads(profile.read_bytes())
    profile.unlink()
    return shares_of(events)


def shares_of(events: Iterable[Mapping[str, Any]]) -> list[Share]:
    """Shares from a profile's events, the greatest time first; each node's last run counts."""
    runs: dict[str, tuple[str, float]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(_KERNEL):
            provider = str(event.get("args", {}).get("provider", ""))
            runs[name] = (provider or "unknown", float(event["dur"]))
    total = sum(took for _, took in runs.values()) or 1.0
    providers = {provider for provider, _ in runs.values()}
    shares = [
        Share(
            provider,
            sum(1 for each, _ in runs.values() if each == provider),
            sum(took for each, took in runs.values() if each == provider) / total,
        )
        for provider in providers
    ]
    return sorted(shares, key=lambda share: (-share.time, share.provider))
