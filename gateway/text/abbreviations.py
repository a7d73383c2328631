"""What a full stop behind a few letters means, by language.

Four classes, without the stop; lower case stands for both cases, a capital only for itself:

    never       more always follows: "Dr. Smith", "e.g. this"
    numbered    an abbreviation only before a number: "No. 5", but "No. I won't."
    ambiguous   may end a sentence: "at 5 p.m.", "the U.S.", "etc."; it does if the next word is one
                that hardly ever is the second half of a name (``starters``)
    the rest    a full stop

A missed sentence end costs a longer chunk; a false one is heard.  So doubt means "no end".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Abbreviations:
    """The classes of one language; see the module's docstring."""

    never: frozenset[str] = frozenset()
    numbered: frozenset[str] = frozenset()
    ambiguous: frozenset[str] = frozenset()
    starters: frozenset[str] = frozenset()
    ordinal_stop: bool = False
    """Whether "3." is how an ordinal is written, as in German."""


def words(text: str) -> frozenset[str]:
    """The set of the words of ``text``, for tables that read like text."""
    return frozenset(text.split())


MONTHS = words(
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)

_ENGLISH = Abbreviations(
    never=words(
        "mr mrs ms mx dr prof st mt ft messrs mmes vs v e.g i.e eg ie cf viz approx ca www asst "
        "assoc Rev Fr Hon Gen Col Maj Capt Cpt Lt Sgt Cpl Adm Cmdr Gov Sen Rep Pres Supt"
    ),
    numbered=words("no nos nr fig figs eq vol vols ch chap sec sect art p pp par ver"),
    ambiguous=words(
        "etc inc ltd co corp llc bros jr sr esq al ave blvd rd ln hwy dept univ est ph.d "
        "Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thur Thurs Fri Sat "
        "Sun Min Max"
    ),
    starters=words(
        "A After All Also An And Another Any Are As At Be Because Before But By Can Could Did Do "
        "Does Don Each Even Every First For From Had Has Have He Her Here His How However I If In "
        "Is It Its Just Let Many Maybe Most My No Not Now Of On Once One Or Other Our Perhaps "
        "Please She Should Since So Some Still Such That The Their Then There These They This "
        "Those Though Thus To Today Under Until Was We Well Were What When Where Which While Who "
        "Why Will With Would Yes Yet You Your"
    ),
)

_BY_LANGUAGE = {
    "en": _ENGLISH,
    "de": Abbreviations(
        never=words(
            "hr fr dr prof z.b d.h u.a bzw vgl ca evtl ggf inkl exkl geb sog zzgl st nr abb "
            "bspw tel str"
        ),
        ambiguous=words("usw etc co jan feb mär apr jun jul aug sep sept okt nov dez"),
        starters=words(
            "Aber Als Auch Auf Bei Da Damit Danach Dann Das Dass Der Dem Den Des Die Dies Diese "
            "Dieser Dieses Doch Du Ein Eine Er Es Für Hier Ich Ihr Im In Ist Ja Jetzt Kann Man Mit "
            "Nach Nein Nun Nur Oder Sie So Und Von Was Wenn Wer Wie Wir Wo Zu"
        ),
        ordinal_stop=True,
    ),
    "fr": Abbreviations(
        never=words("m mm mme mlle dr pr me cf p.ex env st ste"),
        numbered=words("p pp vol no n art fig chap"),
        ambiguous=words("etc av apr j.-c janv févr avr juil sept oct nov déc"),
        starters=words(
            "A À Après Au Avec Ce Cela Ces Cette Comme Dans De Des Elle Elles En Et Il Ils Je La "
            "Le Les Mais Non Nous On Ou Où Oui Par Pour Puis Quand Que Qui Si Son Sur Tu Un Une "
            "Vous"
        ),
    ),
    "es": Abbreviations(
        never=words("sr sra srta sres dr dra d dª ud uds lic ing prof p.ej"),
        numbered=words("pág págs núm vol art fig cap"),
        ambiguous=words("etc ee.uu s.a a.c d.c ene feb mar abr jun jul ago sept oct nov dic"),
        starters=words(
            "A Al Así Aunque Como Con Cuando De Desde Después El Ella Ellos En Entonces Es Esta "
            "Este Esto Hay La Las Lo Los Me Mi No Nos Para Pero Por Porque Que Se Si Sí Sin Su "
            "También Un Una Y Ya Yo"
        ),
    ),
    "it": Abbreviations(
        never=words("sig sigg sig.ra sig.na dott dott.ssa prof prof.ssa ing avv cfr p.es s"),
        numbered=words("pag pagg n vol art fig cap"),
        ambiguous=words("ecc a.c d.c s.p.a s.r.l"),
        starters=words(
            "A Al Allora Anche Che Chi Ci Come Con Così Da Di È E Ed Gli Ha Ho I Il In Io La Le Lo "
            "Ma Mi No Noi Non Per Poi Quando Questa Questo Se Sì Si Sono Su Un Una Uno"
        ),
    ),
    "pt": Abbreviations(
        never=words("sr sra srs sras dr dra prof profa exmo exma d p.ex av"),
        numbered=words("pág págs n nº vol art fig cap"),
        ambiguous=words("etc s.a a.c d.c ltda"),
        starters=words(
            "A As Ao Assim Com Como Da De Depois Do E É Ela Ele Eles Em Então Essa Esse Esta Este "
            "Eu Há Isso Já Mas Na Não No Nós O Os Ou Para Por Quando Que Se Sim Sua Também Um Uma"
        ),
    ),
    "nl": Abbreviations(
        never=words("dhr mevr mw dr drs ir ing prof bijv bv d.w.z o.a t.a.v m.b.t ca vgl"),
        numbered=words("nr blz p fig art"),
        ambiguous=words("enz etc a.d"),
        starters=words(
            "Als Dan Dat De Deze Die Dit Een En Er Ga Geen Het Hij Hoe Ik In Ja Je Maar Met Na Nee "
            "Niet Nu Of Om Ook Op Te Van Voor Waar Wat We Wie Wij Ze Zij"
        ),
    ),
}
_OTHERS = Abbreviations(
    never=words("dr prof st mr mrs"), numbered=words("nr no p"), ambiguous=words("etc")
)
_ORDINAL_STOP = words("bs cs da et fi fo hr hu is lb lv nb nn no pl sk sl sr tr")


@lru_cache(maxsize=128)
def abbreviations_of(language: str) -> Abbreviations:
    """The classes for a tag such as "en-us"; a small common set for languages without their own."""
    base = language.partition("-")[0]
    found = _BY_LANGUAGE.get(base, _OTHERS)
    return replace(found, ordinal_stop=True) if base in _ORDINAL_STOP else found
