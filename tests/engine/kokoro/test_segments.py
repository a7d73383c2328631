"""Cutting spoken text into words, marks and clauses."""

import pytest

from gateway.engine.kokoro.segments import Mark, Space, Word, clauses, segment


def sketch(spoken: str) -> str:
    """Words in brackets, marks and spaces as they are."""
    parts = []
    for each in segment(spoken):
        if isinstance(each, Word):
            assert spoken[each.start : each.end] == each.text
            parts.append(f"[{each.text}]")
        else:
            parts.append(each.symbol if isinstance(each, Mark) else " ")
    return "".join(parts)


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        ("Hello, world.", "[Hello], [world]."),
        ("  two   spaces ", "[two] [spaces]"),
        ("yes—no – maybe", "[yes]—[no] — [maybe]"),
        ("wait... what", "[wait]... [what]"),
        ("wait… what", "[wait]… [what]"),
        ("no!!!!!! really?!", "[no]!!! [really]?!"),
        ("“So,” he said (softly)", "“[So],” [he] [said] ([softly])"),
        ("«Oui», dit-il", "“[Oui]”, [dit-il]"),
        ("3.5 and U.S. now", "[3.5] [and] [U.S]. [now]"),
        ("1 000 euros, 12\u202f345\u00a0678", "[1 000] [euros], [12\u202f345\u00a0678]"),
        ('"1 000"', '"[1 000]"'),
        ("10 2000", "[10] [2000]"),
        ("¿Qué? ¡Sí!", "[Qué]? [Sí]!"),
        ("'cause it's the dogs' 'best'", "['cause] [it's] [the] [dogs] [best]"),
        ("a - b -- c", "[a] — [b] — [c]"),
        ("क्या। हाँ", "[क्या]. [हाँ]"),
        ("", ""),
        (" \n\t", ""),
        ("...", "..."),
        ("[x] {y}", "[x] [y]"),
    ],
)
def test_words_marks_and_spaces(spoken, expected):
    assert sketch(spoken) == expected


def test_a_mark_ends_a_clause_and_a_space_does_not():
    found = clauses(segment("One two, three. (Four) five"))
    assert [[word.text for word in words] for words in found] == [
        ["One", "two"],
        ["three"],
        ["Four"],
        ["five"],
    ]


def test_space_is_one_whatever_it_was():
    assert segment("a \n b") == [Word("a", 0, 1), Space(), Word("b", 4, 5)]
