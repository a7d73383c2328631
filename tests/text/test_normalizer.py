"""Literal text in, literal speech out."""

import time
from pathlib import Path

import pytest

from gateway.synthesis import Alignment
from gateway.text.normalizer import normalize

DATA = Path(__file__).parent.parent / "data"


def say(source: str, language: str = "en-us", code_blocks: str = "skip") -> str:
    return normalize(source, source_start=0, language=language, code_blocks=code_blocks)[0]


NUMBERS = [
    ("0", "zero"),
    ("7 cats", "seven cats"),
    ("105", "one hundred five"),
    ("1,234", "one thousand two hundred thirty-four"),
    ("1,000,000", "one million"),
    ("3.14", "three point one four"),
    ("0.50", "zero point five zero"),
    (".5", "point five"),
    ("1,234.5", "one thousand two hundred thirty-four point five"),
    ("-5 degrees", "minus five degrees"),
    ("it is −3 now", "it is minus three now"),
    ("5 - 3 = 2", "five minus three equals two"),
    ("5+3=8", "five plus three equals eight"),
    ("3 × 4", "three times four"),
    ("2*3", "two times three"),
    ("8 ÷ 2", "eight divided by two"),
    ("5±1", "five plus or minus one"),
    ("007", "zero zero seven"),
    (
        "1234567890123456",
        "one two three four five six seven eight nine zero one two three four five six",
    ),
    ("1st, 2nd and 3rd", "first, second and third"),
    ("the 21st century", "the twenty-first century"),
    ("112th", "one hundred twelfth"),
    ("1,000th", "one thousandth"),
    ("1/2 cup", "one half cup"),
    ("3/4 of it", "three quarters of it"),
    ("2 1/2 hours", "two and a half hours"),
    ("5/8", "five eighths"),
    ("7/100", "seven hundredths"),
    ("17/43", "seventeen over forty-three"),
    ("5/0", "five zero"),
    ("½ cup", "one half cup"),
    ("2½ cups", "two and a half cups"),
    ("1¾", "one and three quarters"),
    ("24/7", "twenty-four seven"),
    ("10-20", "ten to twenty"),
    ("5–7 days", "five to seven days"),
    ("pages 5 – 7", "pages five to seven"),
    ("5-10%", "five to ten percent"),
    ("20%", "twenty percent"),
    ("5.5 %", "five point five percent"),
    ("~5 people", "about five people"),
    ("<5", "less than five"),
    ("a < b", "a less than b"),
    ("a > b", "a greater than b"),
    ("1920x1080", "one thousand nine hundred twenty by one thousand eighty"),
    ("2 x 3 x 4", "two by three by four"),
    ("2x faster", "two times faster"),
    ("16:9", "sixteen to nine"),
    ("#5", "number five"),
    ("No. 5 and No. 6", "number five and number six"),
    ("No. I won't.", "No. I won't."),
    ("5k users", "five thousand users"),
    ("3 million people", "three million people"),
    ("٣ items", "three items"),
]

MONEY = [
    ("$5", "five dollars"),
    ("$1", "one dollar"),
    ("$5.50", "five dollars and fifty cents"),
    ("$1.01", "one dollar and one cent"),
    ("$0.99", "ninety-nine cents"),
    ("$5.00", "five dollars"),
    ("$1.5 million", "one point five million dollars"),
    ("$10k", "ten thousand dollars"),
    ("$3bn", "three billion dollars"),
    ("$1,250", "one thousand two hundred fifty dollars"),
    ("US$20", "twenty US dollars"),
    ("£2.01", "two pounds and one penny"),
    ("€5", "five euros"),
    ("5€", "five euros"),
    ("20 EUR", "twenty euros"),
    ("1 USD", "one US dollar"),
    ("3 million €", "three million euros"),
    ("¥500", "five hundred yen"),
    ("-$5", "minus five dollars"),
    ("$5-$10", "five dollars to ten dollars"),
    ("$5/month", "five dollars per month"),
    ("$12/mo", "twelve dollars per month"),
    ("$ sign", "dollars sign"),
]

DATES_AND_TIMES = [
    ("2025-03-04", "March fourth, twenty twenty-five"),
    ("2025-13-04", "two thousand twenty-five to thirteen to zero four"),
    ("2025-03-04T14:30:00Z", "March fourth, twenty twenty-five, fourteen thirty UTC"),
    ("3/4/2025", "March fourth, twenty twenty-five"),
    ("25/12/99", "December twenty-fifth, nineteen ninety-nine"),
    ("March 3rd, 2025", "March third, twenty twenty-five"),
    ("March 3, 2025.", "March third, twenty twenty-five."),
    ("Mar. 3", "March third"),
    ("June 3–5", "June third to fifth"),
    ("3 March 2025", "the third of March twenty twenty-five"),
    ("on the 3rd of March", "on the third of March"),
    ("March 2025", "March twenty twenty-five"),
    ("March 40", "March forty"),
    ("In 1999", "In nineteen ninety-nine"),
    ("since 1905", "since nineteen oh five"),
    ("by 1900", "by nineteen hundred"),
    ("in 2005", "in two thousand five"),
    ("(1969)", "nineteen sixty-nine"),
    ("1500 people", "one thousand five hundred people"),
    ("1066 AD", "ten sixty-six AD"),
    ("1990s", "nineteen nineties"),
    ("the '80s", "the eighties"),
    ("mid-1990s", "mid nineteen nineties"),
    ("1990–2000", "nineteen ninety to two thousand"),
    ("2024-25", "twenty twenty-four to twenty-five"),
    ("12:30", "twelve thirty"),
    ("9:00", "nine o'clock"),
    ("3:05 PM", "three oh five PM"),
    ("3pm", "three PM"),
    ("14:00", "fourteen hundred"),
    ("00:00", "midnight"),
    ("14:05:10", "fourteen oh five and ten seconds"),
    ("9am-5pm", "nine AM to five PM"),
    ("25:70", "twenty-five to seventy"),
    ("Come at 5 p.m. The door is open.", "Come at five PM. The door is open."),
    ("Come at 5 p.m. sharp.", "Come at five PM sharp."),
]

UNITS = [
    ("5 km/h", "five kilometers per hour"),
    ("1 kg", "one kilogram"),
    ("20°C", "twenty degrees Celsius"),
    ("-3°F", "minus three degrees Fahrenheit"),
    ("90°", "ninety degrees"),
    ("16 GB", "sixteen gigabytes"),
    ("512MB", "five hundred twelve megabytes"),
    ("100 Mbps", "one hundred megabits per second"),
    ("3.5 GHz", "three point five gigahertz"),
    ("10ms", "ten milliseconds"),
    ("3 m²", "three square meters"),
    ("70 mph", "seventy miles per hour"),
    ("6 ft", "six feet"),
    ("5'10\"", "five feet ten inches"),
    ("5 in a row", "five in a row"),
    ("100/day", "one hundred per day"),
    ("x²", "x squared"),
]

WORDS = [
    ("Mr. Smith", "Mister Smith"),
    ("Mr Smith", "Mister Smith"),
    ("Mrs. Jones and Ms. Lee", "Missus Jones and Miz Lee"),
    ("Dr. Brown", "Doctor Brown"),
    ("on Elm Dr. near here", "on Elm Drive near here"),
    ("St. Louis", "Saint Louis"),
    ("5 Main St. is ours", "five Main Street is ours"),
    ("cats, dogs, etc. are", "cats, dogs, et cetera are"),
    ("Apples, etc.", "Apples, et cetera."),
    ("this vs. that", "this versus that"),
    ("e.g. here, i.e. there", "for example here, that is there"),
    ("Gen. Grant", "General Grant"),
    ("Acme Inc. is", "Acme Incorporated is"),
    ("Fig. 3, p. 5, pp. 6-7", "figure three, page five, pages six to seven"),
    ("the U.S. Army", "the U S Army"),
    ("in the U.S. The end", "in the U S. The end"),
    ("J. R. R. Tolkien", "J R R Tolkien"),
    ("Plan B. The end.", "Plan B. The end."),
    ("a Ph.D. thesis", "a PhD thesis"),
    ("NASA and the FBI", "NASA and the FBI"),
    ("Henry VIII", "Henry the eighth"),
    ("Louis XIV", "Louis the fourteenth"),
    ("Chapter IV", "Chapter four"),
    ("World War II", "World War two"),
    ("Henry I think", "Henry I think"),
    ("IV drip", "IV drip"),
    ("R&D", "R and D"),
    ("me @ home", "me at home"),
    ("@bob", "at bob"),
    ("#HelloWorld", "hashtag Hello World"),
    ("a # b", "a hash b"),
    ("C++ and C#", "C plus plus and C sharp"),
    ("x -> y => z", "x to y to z"),
    ("a == b != c", "a equals b is not equal to c"),
    ("GPT-4 and H2O", "GPT four and H two O"),
    ("10-year-old", "ten year old"),
    ("a 21st-century idea", "a twenty-first century idea"),
    ("ID 4f98765", "ID four f nine eight seven six five"),
    ("well-known", "well-known"),
    ("main.py", "main dot py"),
    (".env", "dot env"),
    ("The end.Then more", "The end. Then more"),
    ("and/or", "and or"),
    ("TCP/IP", "TCP IP"),
    ("/usr/bin", "slash usr bin"),
    ("use --help or -v", "use dash dash help or dash v"),
    ("w/o sugar", "without sugar"),
    ("snake_case", "snake case"),
    ("v2.1.3", "version two point one point three"),
    ("v2.1", "version two point one"),
    ("Python 3.11.4", "Python three point eleven point four"),
    ("10.0.0.1", "ten dot zero dot zero dot one"),
    ("© 2024 Acme", "copyright twenty twenty-four Acme"),
]

ADDRESSES = [
    ("example.com/path", "example dot com slash path"),
    ("https://www.example.com/", "example dot com"),
    (
        "See http://a.com/x-y_z?q=1.",
        "See a dot com slash x dash y underscore z question mark q equals one.",
    ),
    ("(see example.com)", "see example dot com"),
    ("https://example.com/" + "a" * 80, "example dot com"),
    ("jo.b@example.com", "jo dot b at example dot com"),
    ("<https://example.com/a>", "example dot com slash a"),
    ("<mailto:a@b.org>", "a at b dot org"),
    ("https://a.org/wiki/X_(y)", "a dot org slash wiki slash X underscore y"),
    ("localhost:8080", "localhost: eight thousand eighty"),
    ("555-1234", "five five five, one two three four"),
    ("(555) 123-4567", "five five five, one two three, four five six seven"),
    ("+1 555-123-4567", "plus one, five five five, one two three, four five six seven"),
]

MARKUP = [
    ("**Bold** and *it* and __u__ and ~~no~~", "Bold and it and u and no"),
    ("use `x = 5` here", "use x equals five here"),
    ("use ``a`b`` here", "use a b here"),
    ("# Title\nText", "Title. Text"),
    ("## Title ##\nText", "Title. Text"),
    ("Things:\n- one\n- two\n", "Things: one. two."),
    ("- [x] done\n- [ ] open\n", "done. open."),
    ("1. First\n2) Second\n", "one. First. two. Second."),
    ("One\n\nTwo", "One. Two"),
    ("soft\nwrap", "soft wrap"),
    ("> quoted\n> text", "quoted text"),
    ("---\nText", "Text"),
    ("Title\n=====\nText", "Title. Text"),
    ("[text](http://a.b/c)", "text"),
    ("[text][ref]", "text"),
    ("[![alt](i.png)](http://a.b)", "alt"),
    ("![a picture](x.png)", "a picture"),
    ("as shown [1], [^2]", "as shown,"),
    ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b. one, two"),
    ("A\n```py\nx = 1\n```\nB", "A. B"),
    ("A\n~~~\nx\n~~~ \nB", "A. B"),
    ("```never closed\nx", ""),
    ("```inline``` code", "inline code"),
    ("&lt;b&gt; &amp; &copy; &nosuch; &#65;", "b and copyright and nosuch; A"),
    ("<b>bold</b><br>x<p>y</p>", "bold x. y."),
    ("a <!-- hidden --> b", "a b"),
    (r"\*not bold\*", "not bold"),
]

MARKS_AND_PICTURES = [
    ("Wait!!! What?! No...", "Wait! What? No…"),
    ("Yes—no", "Yes — no"),
    ("ok -- fine - good", "ok — fine — good"),
    ("pre- and post-war", "pre and post-war"),
    ("“Smart” ‘quotes’ don’t", "Smart quotes don't"),
    ("me (really) or", "me, really, or"),
    ("yes (no).", "yes, no."),
    ("a; b: c, d", "a; b: c, d"),
    ("word,word", "word, word"),
    ("... and?", "and?"),
    ("Great 👍🏽 work", "Great work"),
    ("Great👍work", "Great work"),
    ("family 👨‍👩‍👧‍👦 here", "family here"),
    ("🇺🇸 flag, 1️⃣ first, ❤️", "flag, first,"),
    ("🏴󠁧󠁢󠁥󠁮󠁧󠁿 England", "England"),
    ("zero\u200bwidth and no\u00adhyphen", "zero width and nohyphen"),
    ("nul\x00l and \x7f", "null and"),
    ("𝐇𝐢 there", "Hi there"),
    ("Acme™ and Bob®", "Acme and Bob"),
    ("", ""),
    ("  \n ", ""),
    ("👍", ""),
    ("***", ""),
    ("?!", ""),
    ("Fish 你好，ok。", "Fish 你好，ok。"),
]


@pytest.mark.parametrize(
    ("source", "spoken"),
    NUMBERS + MONEY + DATES_AND_TIMES + UNITS + WORDS + ADDRESSES + MARKUP + MARKS_AND_PICTURES,
)
def test_english_is_read_as(source: str, spoken: str) -> None:
    assert say(source) == spoken


@pytest.mark.parametrize(
    ("source", "spoken"),
    [
        ("105 km", "one hundred and five kilometres"),
        ("3/4/2025", "the third of April twenty twenty-five"),
        ("the 2 March 2025", "the second of March twenty twenty-five"),
        ("March 3rd, 2025", "the third of March twenty twenty-five"),
        ("101st", "one hundred and first"),
        ("2 l", "two litres"),
    ],
)
def test_british_english_is_read_as(source: str, spoken: str) -> None:
    assert say(source, "en-gb") == spoken


@pytest.mark.parametrize(
    ("language", "source", "spoken"),
    [
        ("de", "Ich habe **3** Äpfel.", "Ich habe drei Äpfel."),
        ("de", "am 3. März", "am 3. März"),
        ("de", "Ich bin 12.", "Ich bin zwölf."),
        ("de", "3,5 km um 12:30 Uhr", "3,5 km um 12:30 Uhr"),
        ("de", "www.beispiel.de/a", "beispiel Punkt de Schrägstrich a"),
        ("de", "Besuche beispiel.de!", "Besuche beispiel Punkt de!"),
        ("fr-fr", "J'ai 21 ans ?", "J'ai vingt et un ans?"),
        ("es", "¿Qué? a@b.es... 👍", "Qué? a arroba b punto es…"),
        ("it", "007", "007"),
        ("cmn", "你好，世界。我有3个！", "你好，世界。我有3个！"),
        ("hi", "नमस्ते दुनिया।", "नमस्ते दुनिया।"),
        ("ar", "مرحبا، كيف؟", "مرحبا، كيف؟"),
        ("fa", "می‌روم", "می‌روم"),
        ("xx", "5 https://a.com/b", "5 a com b"),
        ("th", "สวัสดี 5", "สวัสดี 5"),
        ("de", "- eins\n- zwei\n", "eins. zwei."),
    ],
)
def test_other_languages_pass_with_their_tokens(language: str, source: str, spoken: str) -> None:
    assert say(source, language) == spoken


def test_one_run_for_each_word_and_one_for_each_expansion() -> None:
    spoken, alignment = normalize(
        "  It's $5, ok", source_start=100, language="en-us", code_blocks="skip"
    )
    assert spoken == "It's five dollars, ok"
    assert alignment == (
        Alignment(0, 4, 102, 106),
        Alignment(5, 17, 107, 109),
        Alignment(19, 21, 111, 113),
    )


def test_markup_does_not_shift_the_alignment() -> None:
    source = "# A **b** [c](http://d) &amp; `e`"
    spoken, alignment = normalize(source, source_start=0, language="en-us", code_blocks="skip")
    pairs = [
        (spoken[run.spoken_start : run.spoken_end], source[run.source_start : run.source_end])
        for run in alignment
    ]
    assert pairs == [("A", "A"), ("b", "b"), ("c", "c"), ("and", "&amp;"), ("e", "e")]


def test_ideographs_are_runs_of_their_own() -> None:
    assert normalize("你好", source_start=5, language="cmn", code_blocks="skip") == (
        "你好",
        (Alignment(0, 1, 5, 6), Alignment(1, 2, 6, 7)),
    )


def test_code_is_read_if_asked_for() -> None:
    assert say("A\n```py\nx = 1\ny\n```\nB", code_blocks="speak") == "A. x equals one. y. B"


def test_a_part_of_a_long_code_block_has_no_fence_to_know_it_by() -> None:
    arguments = {"source_start": 50, "language": "en-us", "inside_code": True}
    assert normalize("x = 1\n```", code_blocks="skip", **arguments) == ("", ())
    assert normalize("x = 1\n```", code_blocks="speak", **arguments)[0] == "x equals one."


def test_markdown_lines_begin_only_where_a_line_begins() -> None:
    def spoken(source: str, line_start: bool | None) -> str:
        return normalize(
            source, source_start=9, language="en-us", code_blocks="skip", line_start=line_start
        )[0]

    assert spoken(" - good", None) == "good"
    assert spoken("# 1", None) == "hash one"
    assert spoken("# 1", True) == "one"


@pytest.mark.parametrize("language", ["en-us", "de"])
@pytest.mark.parametrize(
    "unit",
    [
        *(
            "a",
            "1",
            "1.",
            "1-",
            "1,111,",
            "a.",
            "A. ",
            "a@",
            "a-",
            "1/",
            "1:",
            "+1-22",
            "http://",
            "www.",
        ),
        *(
            "[",
            "[a](",
            "`",
            "``a",
            "<a",
            "<!--",
            "&a",
            "*",
            "_a",
            "| ",
            "> ",
            "# ",
            "~~~\n",
            "👍",
            "\u0301",
        ),
    ],
)
def test_hostile_text_costs_no_more_than_plain_text(unit: str, language: str) -> None:
    source = (unit * 10_000)[:10_000]
    started = time.process_time()
    normalize(source, source_start=0, language=language, code_blocks="speak")
    assert time.process_time() - started < 1.0


def test_the_article_is_read_without_digits_or_symbols() -> None:
    spoken = say((DATA / "article.txt").read_text(encoding="utf-8"))
    assert not any(char.isdigit() or char in "$%£°&@#/" for char in spoken)
    assert "six forty on the morning of March third, twenty twenty-five, a sleeper" in spoken
    assert "coach number five fell to minus three degrees Celsius" in spoken
    assert "about sixty-two million dollars and take three to four years" in spoken
    assert "from nine PM to six AM, and" in spoken


def test_the_answer_of_an_assistant_is_read_without_its_markup() -> None:
    spoken = say((DATA / "assistant_answer.md").read_text(encoding="utf-8"))
    assert spoken.startswith(
        "Reading a file safely. Sure! Here is a short way to read a text file in Python, without "
        "leaving it open: A few notes: one. read text opens the file, reads it, and closes it. two."
    )
    assert "Method, Memory, Speed. read text, all of it, one point zero times." in spoken
    assert spoken.endswith(
        "See the documentation of pathlib for more, for example Path dot glob. Tip: always name "
        "the encoding. Would you like an example with error handling?"
    )
