"""Cuts a growing text into chunks that are spoken in one go.

    tokens ──► [ accepted, not scanned ][ scanned, places known ] ──► chunk, chunk, …
                                         ▲ pull: next_chunk(lead_s, first)

How early a chunk is cut depends on what the listener still has to hear (all numbers are settings):

    first chunk of a talkspurt    the first clause of ``first_chunk_chars_min`` characters
    lead < lead_for_sentences_s   a sentence, or a clause of three times that minimum
    lead < lead_for_paragraphs_s  a sentence
    more                          sentences joined until ``joined_chars_min``, or a paragraph

Guarantees:
- *Invariance*: for the same (lead, first) arguments per chunk and no stall, the chunks depend on
  the text and its flushes alone, not on how it was split or when it was pulled.  The scanner sees
  characters, never tokens, and a place is used only when all places before it are decided.
- A chunk is never longer than ``chunk_chars_max``.  Where no better place exists within it, it is
  cut at the best clause, else at white space, else (one "word" of that length) between any two
  grapheme clusters.
- Chunks adjoin; leading white space belongs to the chunk that follows it.
- Linear in the text; what is held beyond the text not yet handed out is a few hundred characters.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from gateway.settings import TextSettings
from gateway.synthesis import TextChunk
from gateway.text.boundaries import LOOK_AHEAD_MAX, Boundary, BoundaryScanner
from gateway.text.characters import is_space, last_cluster_boundary
from gateway.text.endings import Kind
from gateway.text.normalizer import normalize

_CLAUSE_GROWTH = 3
"""A later clause must be this many times as long as a first one: short chunks sound chopped."""
_SCAN_CHARS = 128
"""Text is scanned in steps of this, so that a page that comes at once costs no long pause."""


class _Mode(IntEnum):
    FIRST = 0
    CLAUSES = 1
    SENTENCES = 2
    PARAGRAPHS = 3


class Chunker:
    """Text in, chunks out; one per generation of a context.  Offsets count code points from 0."""

    def __init__(self, settings: TextSettings, language: str = "en-us") -> None:
        self._settings = settings
        self._language = language
        self._scanner = BoundaryScanner(language)
        self._unscanned: deque[str] = deque()
        self._unscanned_from = 0  # in the first part of _unscanned
        self._scanned: list[str] = []  # from _offset to the scanner's position
        self._marks: deque[int] = deque()  # where a flush or the end stands
        self._examined = [0] * len(_Mode)  # how many of scanner.found each mode has refused
        self._accepted = 0
        self._offset = 0
        self._content_start: int | None = None
        self._in_code = False
        self._at_mark = False
        self._ended = False
        self._last_text_at = 0.0
        self._stall_seen = False

    # -- what happens to us ---------------------------------------------------------------------

    def receive_text(self, text: str, now: float) -> None:
        """Append ``text``: a token, a word, a page; nothing is scanned before it is pulled."""
        assert not self._ended, "the session takes no text after the end"
        if not text:
            return
        self._unscanned.append(text)
        self._accepted += len(text)
        self._last_text_at = now
        self._stall_seen = False

    def receive_flush(self, now: float) -> None:
        """What is there is spoken now, though no clause ended; a talkspurt ends here."""
        assert not self._ended, "the session takes no flush after the end"
        self._mark()

    def receive_end(self, now: float) -> None:
        """No more text at all.  A second end has no effect."""
        self._ended = True
        self._mark()

    def _mark(self) -> None:
        if self._scanner.position == self._accepted:
            self._scanner.break_off()
        if self._accepted == self._offset:
            self._at_mark = True
        elif not self._marks or self._marks[-1] != self._accepted:
            self._marks.append(self._accepted)

    # -- what is known about us -----------------------------------------------------------------

    @property
    def pending_chars(self) -> int:
        """Characters accepted and not handed out."""
        return self._accepted - self._offset

    @property
    def text_offset(self) -> int:
        """``source_end`` of the last chunk handed out; 0 before the first."""
        return self._offset

    @property
    def at_talkspurt_end(self) -> bool:
        """Whether the chunk handed out last was the last before a flush or the end."""
        return self._at_mark

    @property
    def at_end(self) -> bool:
        """Whether the end was received and everything was handed out."""
        return self._ended and self._accepted == self._offset

    def next_timer(self) -> float | None:
        """When a stall makes a cut possible; None if none can, or if that time was acted upon.

        ``next_chunk`` must be called at that time, whatever the lead is.
        """
        if self._stall_seen or self._marks or not self.pending_chars:
            return None
        window = self._offset + self._settings.chunk_chars_max + LOOK_AHEAD_MAX
        while self._scanner.position < window and self._scan_some():
            pass
        if self._unscanned or self._stall_end() is None:
            return None
        return self._last_text_at + self._settings.stall_timeout_s

    # -- what comes out -------------------------------------------------------------------------

    def next_chunk(self, *, lead_s: float, first: bool, now: float) -> TextChunk | None:
        """The next chunk, or None if nothing may be cut yet.

        ``lead_s`` is the audio that the listener still has to hear; ``first`` says that the chunk
        opens a talkspurt.
        """
        end = self._find_end(self._mode(lead_s, first))
        if end is None and not self._marks and self.pending_chars:
            if now < self._last_text_at + self._settings.stall_timeout_s:
                return None
            self._stall_seen = True
            if first or lead_s < self._settings.lead_for_sentences_s:
                end = self._stall_end()
        return None if end is None else self._hand_out(end)

    def _mode(self, lead_s: float, first: bool) -> _Mode:
        if first:
            return _Mode.FIRST
        if lead_s < self._settings.lead_for_sentences_s:
            return _Mode.CLAUSES
        if lead_s < self._settings.lead_for_paragraphs_s:
            return _Mode.SENTENCES
        return _Mode.PARAGRAPHS

    def _find_end(self, mode: _Mode) -> int | None:
        """Where the next chunk ends, scanning no more text than is needed to say so."""
        limit = self._offset + self._settings.chunk_chars_max
        while True:
            end = self._first_suitable(mode, limit)
            if end is not None:
                return end
            mark = self._marks[0] if self._marks else None
            scanner = self._scanner
            if mark is not None and scanner.position == mark <= limit:
                return mark
            if scanner.decided_until > limit:
                return self._best_within(limit)
            if not self._scan_some():
                return None

    def _first_suitable(self, mode: _Mode, limit: int) -> int | None:
        found = self._scanner.found
        index = self._examined[mode]
        while index < len(found) and found[index].position <= limit:
            if found[index].position > self._offset and self._suits(found[index], mode):
                return found[index].position
            index += 1
        self._examined[mode] = index
        return None

    def _suits(self, place: Boundary, mode: _Mode) -> bool:
        kind = place.kind
        if kind is Kind.FENCE:
            return True
        if kind < Kind.CLAUSE:
            return False
        if mode is _Mode.SENTENCES:
            return kind >= Kind.SENTENCE
        length = place.position - self._first_character()
        if mode is _Mode.FIRST:
            return length >= self._settings.first_chunk_chars_min
        if mode is _Mode.CLAUSES:
            clause_min = _CLAUSE_GROWTH * self._settings.first_chunk_chars_min
            return kind >= Kind.SENTENCE or length >= clause_min
        joined = length >= self._settings.joined_chars_min
        return kind is Kind.PARAGRAPH or (kind is Kind.SENTENCE and joined)

    def _first_character(self) -> int:
        """Position of the first character of the pending text that is no white space."""
        if self._content_start is None:
            text = self._scanned_text()
            skipped = next((i for i, char in enumerate(text) if not is_space(char)), len(text))
            self._content_start = self._offset + skipped
        return self._content_start

    def _best_within(self, limit: int) -> int:
        """The latest of the best places; a chunk of the greatest length would end at ``limit``."""
        places = [
            (place.kind, place.position)
            for place in self._scanner.found
            if self._offset < place.position <= limit
        ]
        if places:
            return max(places)[1]
        return self._offset + last_cluster_boundary(self._scanned_text(), limit - self._offset)

    def _stall_end(self) -> int | None:
        """Where a stalled text may be cut: behind its last complete word, if that says anything."""
        scanner = self._scanner
        if scanner.ends_speech and scanner.spoken_until > self._offset:
            return scanner.position
        for place in reversed(scanner.found):
            if place.spoken_until <= self._offset:
                return None
            if place.kind >= Kind.WORD:
                return place.position
        return None

    def _scan_some(self) -> bool:
        """Scan the next piece of text, up to a mark at most; False if there is none."""
        stop = self._marks[0] if self._marks else self._accepted
        room = min(_SCAN_CHARS, stop - self._scanner.position)
        if room <= 0:
            return False
        part = self._unscanned[0]
        piece = part[self._unscanned_from : self._unscanned_from + room]
        self._unscanned_from += len(piece)
        if self._unscanned_from == len(part):
            self._unscanned.popleft()
            self._unscanned_from = 0
        self._scanned.append(piece)
        self._scanner.scan(piece)
        if self._marks and self._scanner.position == stop:
            self._scanner.break_off()
        return True

    def _scanned_text(self) -> str:
        text = "".join(self._scanned)
        self._scanned = [text]
        return text

    def _hand_out(self, end: int) -> TextChunk:
        assert self._offset < end <= self._scanner.position, "a chunk is text that was scanned"
        start = self._offset
        edges = self._scanner.code_edges
        while edges and edges[0] <= start:
            self._in_code = not self._in_code
            del edges[0]
        assert not edges or edges[0] >= end, "a chunk lies inside fenced code or outside it"
        text = self._scanned_text()
        source = text[: end - start]
        line_start = start == 0 or self._at_mark
        self._scanned = [text[end - start :]]
        self._advance(end)
        spoken, alignment = normalize(
            source,
            source_start=start,
            language=self._language,
            code_blocks=self._settings.code_blocks,
            inside_code=self._in_code,
            line_start=line_start,
        )
        return TextChunk(source, start, end, spoken, alignment)

    def _advance(self, end: int) -> None:
        self._offset = end
        self._content_start = None
        found = self._scanner.found
        passed = next((i for i, place in enumerate(found) if place.position > end), len(found))
        del found[:passed]
        self._examined = [0] * len(_Mode)
        self._at_mark = bool(self._marks) and self._marks[0] == end
        if self._at_mark:
            self._marks.popleft()
