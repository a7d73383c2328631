"""What every caller will do, and when: written before the first connection.  Pure, seeded.

    session  ├─ arrives ── connects ──┤
    turn                request ├──first-token delay──┤▮ ▮▮ ▮   ▮▮▮  stall   ▮ ▮▮ end
    next turn                                            │ as if it were heard │ pause │ request …

The load is *open-loop*: arrivals, requests and tokens have times of their own, which no answer of
the server moves.  A server that is late finds the next request waiting, as in production, and a
latency counted from the scheduled time contains what a coordinated client would have hidden.  The
time at which a caller asks again follows from the length of the text at ``CHARS_PER_S``, not from
when the server was done.

Arrivals are a Poisson process: over the ramp ``sessions`` of them (uniform order statistics, which
is the process given its count).  With a ``lifetime_s``, each leaves after an exponential time and
others arrive at rate ``sessions / lifetime_s``, so that the expected number stays the same.

Every answer has a speed of its own within ±3 %, so that the gateway's cache can't serve it; with
``cached`` all are spoken at speed 1, and the cache may serve whatever it knows.

Times are seconds after the run's zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from random import Random

from loadtest.answers import KIND_WEIGHTS, KINDS, first_clause_end

CHARS_PER_S = 14.0
"""How fast speech uses up text; sets the pace of turns, and nothing else."""

_SPEED_SPREAD = 0.03
_SPEED_STEPS = 1_000_003
"""A prime: turn ``n`` gets step ``n * 618_033 % it``, so no two turns of a run share a speed."""

_FIRST_REQUEST_S = 0.5
"""From a caller's arrival to its first request: connecting has its place there."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """How a language model writes: seconds, and tokens per second.

    The first-token delay is log-normal around its median; gaps between tokens are exponential;
    ``burst_share`` of the tokens come with the one before (a network's doing), and
    ``stall_share`` of them only after a pause of ``stall_s`` on average.
    """

    first_token_s: float = 0.35
    tokens_per_s: float = 40.0
    burst_share: float = 0.25
    stall_share: float = 0.002
    stall_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of the server; weights of voices and codecs need not add up to 1."""

    sessions: int = 100
    seconds: float = 30.0
    ramp_s: float = 5.0
    lifetime_s: float = inf
    pause_s: float = 1.0
    barge_in_share: float = 0.15
    cuts_per_minute: float = 0.1
    voices: tuple[tuple[str, float], ...] = (("", 1.0),)
    codecs: tuple[tuple[str, float], ...] = (("opus", 8.0), ("pcmu", 1.0), ("pcm", 1.0))
    cached: bool = False
    tempo: Tempo = Tempo()
    seed: int = 1

    @property
    def end_s(self) -> float:
        """When the measured time is over."""
        return self.ramp_s + self.seconds


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text, and when it is due."""

    at_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: ``clause_s`` is when the token is due that completes its first clause.

    ``barge_in_s`` is when the listener interrupts, None if it lets the answer finish;
    ``tells_position``: the cancel says what was played, so the server need not guess.
    """

    number: int
    request_s: float
    voice: str
    codec: str
    speed: float
    tokens: tuple[Token, ...]
    clause_s: float
    barge_in_s: float | None
    tells_position: bool

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(token.text for token in self.tokens)

    @property
    def over_s(self) -> float:
        """When it would have been heard, were the server infinitely fast."""
        return max(self.tokens[-1].at_s, self.tokens[0].at_s + len(self.text) / CHARS_PER_S)


@dataclass(frozen=True, slots=True)
class Script:
    """One caller's life: it leaves at ``leave_s``; at each of ``cuts_s`` its socket breaks."""

    session: int
    arrive_s: float
    leave_s: float
    cuts_s: tuple[float, ...]
    turns: tuple[Turn, ...]


def write_scripts(load: Load) -> tuple[Script, ...]:
    """All callers of a run, by arrival; the same for the same load."""
    random = Random(f"{load.seed} arrivals")
    arrivals = [random.uniform(0.0, load.ramp_s) for _ in range(load.sessions)]
    if load.lifetime_s < inf:
        now = load.ramp_s
        while (now := now + random.expovariate(load.sessions / load.lifetime_s)) < load.end_s:
            arrivals.append(now)
    arrivals.sort()
    numbers = _Numbers()
    return tuple(_script(load, session, at, numbers) for session, at in enumerate(arrivals))


def write_tokens(text: str, begin_s: float, tempo: Tempo, random: Random) -> tuple[Token, ...]:
    """Cut ``text`` as language models do and say when each piece comes; joined, they are it."""
    tokens: list[Token] = []
    now = begin_s + tempo.first_token_s * random.lognormvariate(0.0, 0.3)
    # Bursts and stalls keep the mean rate out of the gaps that are neither.
    gap_s = 1 / tempo.tokens_per_s / max(1e-9, 1 - tempo.burst_share)
    for piece in _pieces(text):
        tokens.append(Token(now, piece))
        draw = random.random()
        if draw < tempo.stall_share:
            now += random.expovariate(1 / tempo.stall_s)
        elif draw >= tempo.stall_share + tempo.burst_share:
            now += random.expovariate(1 / gap_s)
    return tuple(tokens)


class _Numbers:
    """Counts the turns of all sessions."""

    def __init__(self) -> None:
        self.turns = 0

    def next(self) -> int:
        self.turns += 1
        return self.turns


def _script(load: Load, session: int, arrive_s: float, numbers: _Numbers) -> Script:
    random = Random(f"{load.seed} session {session}")
    stays_s = random.expovariate(1 / load.lifetime_s) if load.lifetime_s < inf else inf
    leave_s = min(arrive_s + _FIRST_REQUEST_S + stays_s, load.end_s)
    turns: list[Turn] = []
    now = arrive_s + _FIRST_REQUEST_S
    while now < leave_s or not turns:
        turn = _turn(load, numbers.next(), now, random)
        turns.append(turn)
        over_s = turn.over_s if turn.barge_in_s is None else turn.barge_in_s
        now = over_s + random.expovariate(1 / load.pause_s)
    cuts: list[float] = []
    if load.cuts_per_minute:
        now = arrive_s
        while (now := now + random.expovariate(load.cuts_per_minute / 60)) < leave_s:
            cuts.append(now)
    return Script(session, arrive_s, leave_s, tuple(cuts), tuple(turns))


def _turn(load: Load, number: int, request_s: float, random: Random) -> Turn:
    (kind,) = random.choices(KINDS, KIND_WEIGHTS)
    text = random.choice(kind)
    tokens = write_tokens(text, request_s, load.tempo, random)
    barge_in_s = None
    if random.random() < load.barge_in_share:
        barge_in_s = tokens[0].at_s + random.uniform(0.2, 0.9) * len(text) / CHARS_PER_S
    (voice,) = random.choices(*_unzip(load.voices))
    (codec,) = random.choices(*_unzip(load.codecs))
    step = (number + load.seed * 7919) * 618_033 % _SPEED_STEPS
    speed = 1.0 if load.cached else 1 - _SPEED_SPREAD + 2 * _SPEED_SPREAD * step / _SPEED_STEPS
    return Turn(
        number=number,
        request_s=request_s,
        voice=voice,
        codec=codec,
        speed=speed,
        tokens=tokens,
        clause_s=_completed_at(tokens, first_clause_end(text)),
        barge_in_s=barge_in_s,
        tells_position=number % 2 == 0,
    )


def _completed_at(tokens: tuple[Token, ...], chars: int) -> float:
    """When the token is due with which ``chars`` characters are there."""
    known = 0
    for token in tokens:
        known += len(token.text)
        if known >= chars:
            return token.at_s
    return tokens[-1].at_s


def _pieces(text: str) -> list[str]:
    """Words with the space before them; long ones in two, as tokenizers cut them."""
    pieces: list[str] = []
    first, *others = text.split(" ")
    for word in (first, *(f" {word}" for word in others)):
        middle = len(word) // 2 + 1
        pieces += [word] if len(word) < 9 else [word[:middle], word[middle:]]
    return pieces


def _unzip(weighted: tuple[tuple[str, float], ...]) -> tuple[list[str], list[float]]:
    return [name for name, _ in weighted], [weight for _, weight in weighted]
