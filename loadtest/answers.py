"""What assistants say: answers written for the load test, of every length and kind.  Pure.

An answer is plain prose or light Markdown, as language models write it.  Each opens with a clause
of ten characters or more that ends in ``, . ; : ! ?`` before a space, and that no abbreviation or
number cuts short, so that any reader finds the end of its first clause where we do.

The same answer may be spoken by many callers; whether a cache then serves it is decided by the
speed at which it is asked for (script.py), not by the text.
"""

from __future__ import annotations

import re

FIRST_CLAUSE_CHARS_MIN = 10
"""A first clause shorter than this is joined with the next; docs/protocol.md promises the same."""

_CLAUSE_END = re.compile(r"[,.;:!?](?=\s)")


def first_clause_end(text: str) -> int:
    """How many characters must be known before the first clause is certainly over.

    The character after the punctuation belongs to it, as only that tells "3." from "3.14"; a text
    without a clause ends with its last character.
    """
    for found in _CLAUSE_END.finditer(text):
        if found.end() >= FIRST_CLAUSE_CHARS_MIN:
            return found.end() + 1
    return len(text)


SHORT = (
    "Done, the lights in the kitchen are off.",
    "Sure thing, I moved the meeting to Thursday at 3.",
    "Yes, that is correct. Anything else?",
    "I did not find a contact with that name. Could you spell it for me?",
    "Your alarm is set for 6:45 tomorrow morning.",
    "It is raining in Lisbon right now, and the wind is picking up.",
    "You have two new messages: one from the school, and one from your dentist.",
    "All right, I will stop here. Just call me when you need me.",
    "The pharmacy on the corner closes at eight, so you still have half an hour.",
    "Good question! Let me look that up for you.",
)

MEDIUM = (
    "Your order left the warehouse this morning, and the courier expects to reach you between two "
    "and four. If nobody is at home, the parcel goes to the kiosk next door. You will need the "
    "code from the confirmation mail to collect it.",
    "Let me walk you through it. Open the settings, choose the network tab, and switch the "
    "connection off for about ten seconds. When you turn it on again, the router hands out a fresh "
    "address, and that usually clears the fault.",
    "The train at 17:42 is cancelled, unfortunately. The next one leaves at 18:12 from platform "
    "nine and stops at every village, so you would arrive forty minutes late. There is also a bus "
    "from the north exit. Shall I reserve a seat on it?",
    "I compared the three plans for you. The small one costs $9.99 a month and has no video. The "
    "middle one costs $14.50 and covers two screens. Given how you use it, the middle one is "
    "enough.",
    "For four people you need about 320 grams of pasta, two cloves of garlic, and a handful of "
    "parsley. Salt the water well. Keep a cup of it before you drain the pasta, because the starch "
    "in it binds the sauce.",
    "Think of the stock market as a long row of stalls. Each stall shows a price, and the price "
    "moves whenever somebody buys or walks away. Nobody sets it; it is simply where the last two "
    "people agreed.",
    "Here is what I have on your calendar today: a call with the design team at ten, lunch with "
    "Priya at half past twelve, and the parents' evening at seven. The afternoon is free. Would "
    "you like me to keep an hour for the report?",
    "That error means that the program asked for a file which is not there. Check the path first, "
    "especially capital letters. If the path is right, see whether another program still holds "
    "the file open, and try once more.",
    "Your balance is 1,482 euros and 17 cents. Since Monday there were three payments: the rent, "
    "the electricity, and a small one at the bakery. The transfer from your sister has not arrived "
    "yet, which is normal over a weekend.",
    "In a nutshell, yes. The museum is open on public holidays, but the last entry is one hour "
    "earlier than usual. Children under twelve go in free, and the café on the roof takes no "
    "reservations.",
    "Take a deep breath, and sit down for a moment. What you describe sounds unpleasant rather "
    "than dangerous. Drink a glass of water slowly, and tell me whether the dizziness gets better "
    "when you keep still.",
    "I would put it more gently. Try this: thank you for the draft, it reads well already. I have "
    "two suggestions about the opening, and one question about the figures. Could we talk on "
    "Wednesday?",
)

LONG = (
    "That is a lovely question, and the honest answer is that nobody knows for certain. What we do "
    "know is that honey keeps so well because it holds hardly any water. Bacteria need water to "
    "grow, and honey pulls it out of them instead. Bees also add an enzyme that makes a little "
    "hydrogen peroxide, which keeps other germs away. Sealed in a jar, it can outlast the person "
    "who filled it. If it turns cloudy, nothing is wrong: the sugar has formed crystals. Stand the "
    "jar in warm water for a while, and it becomes clear again.",
    "Let us plan the weekend step by step. On Saturday morning you drive to the coast, which takes "
    "a little under two hours if you leave before eight. Park at the harbour, not in the old town, "
    "because the streets there are narrow and the fines are steep. Walk along the cliffs until the "
    "lighthouse; it is about five kilometres, mostly flat. There is a small place for lunch behind "
    "the church. In the afternoon the tide is low, so you can cross to the island on foot. Be back "
    "by six! On Sunday the weather turns, and I would keep the day for the aquarium.",
    "Before you sign anything, read three parts of the contract with care. **First**, the notice "
    "period: it should be no longer than three months. **Second**, the clause about repairs. Small "
    "ones may be yours, but the heating never is. **Third**, look for anything that changes the "
    "rent later, such as a table of yearly steps. Ask for a list of what was broken when you moved "
    "in, with photographs, and have both sides sign it. It feels fussy on the day. Two years later "
    "it is the only thing that anybody remembers.",
    "Once upon a time, there was a clockmaker who could not sleep. All day she repaired other "
    "people's clocks, and all night she heard them tick. One evening a traveller brought a watch "
    "that made no sound at all. It keeps perfect time, he said, but only while nobody looks at it. "
    "She laughed, took the watch, and put it in a drawer. In the morning every clock in the shop "
    "had stopped at the same minute. She opened the drawer. The watch was warm, and for the first "
    "time in years she noticed how quiet a house can be.",
    "Here is how I would learn it in your place. Spend the first week only listening, twenty "
    "minutes a day, and do not worry about what the words mean. In the second week, repeat short "
    "phrases aloud. Your mouth has to learn as much as your memory does. From the third week on, "
    "write five sentences every evening about what you did that day. They will be dull, and that "
    "is fine. Somebody who speaks the language should correct them once a week. After two months "
    "you will have written three hundred sentences, and most of what you want to say is in them.",
    "To compare the two machines, start from what you do with them. For mail, browsing, and photos "
    "the cheaper one is more than enough, and its battery lasts about eleven hours. The dearer one "
    "has a better screen and twice the memory. You would notice that when you edit video, or when "
    "you keep fifty pages open at once. Both are silent in normal use. The keyboard is a matter of "
    "taste, so try it in a shop. If the price difference of 400 dollars hurts, take the cheaper "
    "one, and spend a part of the rest on a good monitor.",
)

KINDS = (SHORT, MEDIUM, LONG)
KIND_WEIGHTS = (3, 5, 2)
"""How often each kind is drawn: most turns of a conversation are neither a word nor a speech."""
