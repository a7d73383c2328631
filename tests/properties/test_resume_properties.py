"""Two ends and a network that loses what is under way: each message arrives once, in order.

The network is two lists of messages under way.  A cut throws away any number of the newest of them;
what was delivered before was counted by its receiver, who may have acknowledged it or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gateway.client.outbox import Outbox
from gateway.session.resumption import Resumption

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["gateway says", "client says"]), st.integers(1, 300)),
        st.tuples(st.sampled_from(["to client", "to gateway"]), st.integers(1, 4)),
        st.tuples(st.just("client acknowledges"), st.just(0)),
        st.tuples(st.just("gateway acknowledges"), st.just(0)),
        st.tuples(st.just("cut"), st.integers(0, 5)),
    ),
    max_size=80,
)


@dataclass
class World:
    """Both ends, and what is under way."""

    gateway: Resumption = field(default_factory=lambda: Resumption(1 << 20))
    outbox: Outbox = field(default_factory=lambda: Outbox(1 << 20, keeps=True))
    client_received: int = 0
    down: list[str | bytes] = field(default_factory=list)
    up: list[str] = field(default_factory=list)
    said_down: list[str | bytes] = field(default_factory=list)
    said_up: list[str] = field(default_factory=list)
    heard_down: list[str | bytes] = field(default_factory=list)
    heard_up: list[str] = field(default_factory=list)

    def gateway_says(self, size: int) -> None:
        message = b"%d:" % len(self.said_down) + b"x" * size
        self.said_down.append(message)
        self.gateway.record(message)
        self.down.append(message)

    def client_says(self, size: int) -> None:
        message = f"{len(self.said_up)}:" + "x" * size
        self.said_up.append(message)
        self.outbox.put(message)
        self.pump()

    def pump(self) -> None:
        while (message := self.outbox.take()) is not None:
            self.up.append(message)

    def deliver_down(self, count: int) -> None:
        for _ in range(min(count, len(self.down))):
            self.heard_down.append(self.down.pop(0))
            self.client_received += 1

    def deliver_up(self, count: int) -> None:
        for _ in range(min(count, len(self.up))):
            self.heard_up.append(self.up.pop(0))
            self.gateway.receive_message()

    def cut(self, delivered: int) -> None:
        """Some of what was under way still arrives; then both ends resume."""
        self.deliver_down(delivered)
        self.deliver_up(delivered)
        received = self.client_received
        self.down = list(self.gateway.log.since(received))
        self.gateway.receive_acknowledgement(received)
        self.up = []
        self.outbox.rewind(self.gateway.received)
        self.pump()

    def step(self, kind: str, size: int) -> None:
        match kind:
            case "gateway says":
                self.gateway_says(size)
            case "client says":
                self.client_says(size)
            case "to client":
                self.deliver_down(size)
            case "to gateway":
                self.deliver_up(size)
            case "client acknowledges":
                self.gateway.receive_acknowledgement(self.client_received)
            case "gateway acknowledges":
                self.outbox.acknowledge(self.gateway.acknowledge(0.0))
            case "cut":
                self.cut(size)


@given(STEPS)
def test_every_message_arrives_exactly_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    world = World()
    for kind, size in steps:
        world.step(kind, size)
        assert world.heard_down == world.said_down[: len(world.heard_down)]
        assert world.heard_up == world.said_up[: len(world.heard_up)]
    world.cut(0)
    world.deliver_down(1000)
    world.deliver_up(1000)
    assert world.heard_down == world.said_down
    assert world.heard_up == world.said_up


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2000)), max_size=200))
def test_the_log_never_costs_more_than_its_limit(steps: list[tuple[bool, int]]) -> None:
    resumption = Resumption(20_000)
    for says, size in steps:
        if says:
            resumption.record(b"x" * size)
        elif size <= resumption.log.sent:
            resumption.receive_acknowledgement(size)
        assert 0 <= resumption.log.size_bytes <= 20_000
