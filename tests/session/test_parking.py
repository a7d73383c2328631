import pytest

from gateway.errors import ResumeRefused
from gateway.session.parking import LocalParkingLot, Ticket, new_secret


def lot_with(*names: str, parked_max: int = 2) -> LocalParkingLot[str]:
    lot: LocalParkingLot[str] = LocalParkingLot(parked_max)
    for name in names:
        lot.register(Ticket.of(name, f"secret of {name}"), name.upper())
    return lot


def test_whoever_knows_the_secret_gets_the_session() -> None:
    lot = lot_with("a", "b")
    assert lot.claim("a", "secret of a", now=0.0) == "A"
    assert lot.park("a", expires_at=30.0)
    assert lot.claim("a", "secret of a", now=29.9) == "A"
    lot.unpark("a")
    assert lot.parked == 0
    assert lot.claim("a", "secret of a", now=1000.0) == "A"


@pytest.mark.parametrize(
    ("session", "secret", "now"),
    [("a", "secret of b", 0.0), ("nobody", "secret of a", 0.0), ("a", "secret of a", 30.0)],
)
def test_everybody_else_is_refused_in_the_same_words(session: str, secret: str, now: float) -> None:
    lot = lot_with("a", "b")
    lot.park("a", expires_at=30.0)
    with pytest.raises(ResumeRefused) as caught:
        lot.claim(session, secret, now)
    assert caught.value.message == (
        "resume: there is no such session any more, or the secret is not its own; "
        "open a new session"
    )


def test_there_is_room_for_so_many_only() -> None:
    lot = lot_with("a", "b", "c")
    assert [lot.park(name, 30.0) for name in "abc"] == [True, True, False]
    assert lot.parked == 2
    lot.forget("a")
    lot.forget("a")
    assert (lot.parked, len(lot)) == (1, 2)
    assert lot.park("c", 30.0)


def test_the_secret_is_long_and_is_shown_nowhere() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert min(map(len, secrets)) >= 43
    secret = secrets.pop()
    assert secret not in repr(Ticket.of("a", secret))
