"""Units and currencies with their English names."""

from __future__ import annotations

from typing import NamedTuple


class Currency(NamedTuple):
    """Names of a currency and of its hundredth; ``minor`` is empty if there is none in use."""

    one: str
    many: str
    minor_one: str = ""
    minor: str = ""


_DOLLAR = Currency("dollar", "dollars", "cent", "cents")

CURRENCIES = {
    "$": _DOLLAR,
    "€": Currency("euro", "euros", "cent", "cents"),
    "£": Currency("pound", "pounds", "penny", "pence"),
    "¥": Currency("yen", "yen"),
    "₹": Currency("rupee", "rupees", "paisa", "paise"),
    "₩": Currency("won", "won"),
    "₽": Currency("ruble", "rubles", "kopeck", "kopecks"),
    "₺": Currency("lira", "lira"),
    "₿": Currency("bitcoin", "bitcoins"),
    "USD": Currency("US dollar", "US dollars"),
    "EUR": Currency("euro", "euros"),
    "GBP": Currency("British pound", "British pounds"),
    "JPY": Currency("yen", "yen"),
    "CHF": Currency("Swiss franc", "Swiss francs"),
    "CAD": Currency("Canadian dollar", "Canadian dollars"),
    "AUD": Currency("Australian dollar", "Australian dollars"),
    "INR": Currency("rupee", "rupees"),
    "CNY": Currency("yuan", "yuan"),
}
"""By symbol and, behind an amount, by ISO 4217 code."""

DOLLARS = {"US": "US", "CA": "Canadian", "C": "Canadian", "A": "Australian", "AU": "Australian"} | {
    "NZ": "New Zealand",
    "HK": "Hong Kong",
    "S": "Singapore",
}
"""What letters before a dollar sign say about it."""

_PREFIXED = {
    "B": "byte",
    "b": "bit",
    "bit": "bit",
    "bps": "bit per second",
    "Hz": "hertz",
    "W": "watt",
    "Wh": "watt hour",
}
_PREFIXES = {"k": "kilo", "K": "kilo", "M": "mega", "G": "giga", "T": "tera", "P": "peta"}


def _plural(name: str) -> str:
    if name.endswith("hertz"):
        return name
    head, per, tail = name.partition(" per ")
    return f"{head}s{per}{tail}"


def _table() -> dict[str, tuple[str, str]]:
    table = {
        prefix + unit: spoken + name
        for prefix, spoken in _PREFIXES.items()
        for unit, name in _PREFIXED.items()
    }
    table |= _NAMES
    table |= {"KB/s": "kilobyte per second", "MB/s": "megabyte per second"}
    table |= {"GB/s": "gigabyte per second", "Mbit/s": "megabit per second"}
    table |= {
        "Gbit/s": "gigabit per second",
        "KiB": "kibibyte",
        "MiB": "mebibyte",
        "GiB": "gibibyte",
    }
    return {symbol: (name, _plural(name)) for symbol, name in table.items()} | _IRREGULAR


_NAMES = {
    "km": "kilometer",
    "m": "meter",
    "cm": "centimeter",
    "mm": "millimeter",
    "µm": "micrometer",
    "μm": "micrometer",
    "nm": "nanometer",
    "km/h": "kilometer per hour",
    "kph": "kilometer per hour",
    "m/s": "meter per second",
    "m/s²": "meter per second squared",
    "mph": "mile per hour",
    "mi": "mile",
    "yd": "yard",
    "m²": "square meter",
    "m2": "square meter",
    "km²": "square kilometer",
    "km2": "square kilometer",
    "cm²": "square centimeter",
    "m³": "cubic meter",
    "m3": "cubic meter",
    "cm³": "cubic centimeter",
    "ha": "hectare",
    "l": "liter",
    "L": "liter",
    "ml": "milliliter",
    "mL": "milliliter",
    "cl": "centiliter",
    "kg": "kilogram",
    "g": "gram",
    "mg": "milligram",
    "µg": "microgram",
    "μg": "microgram",
    "lb": "pound",
    "lbs": "pound",
    "oz": "ounce",
    "ms": "millisecond",
    "µs": "microsecond",
    "μs": "microsecond",
    "ns": "nanosecond",
    "s": "second",
    "sec": "second",
    "secs": "second",
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "yr": "year",
    "yrs": "year",
    "Hz": "hertz",
    "W": "watt",
    "mW": "milliwatt",
    "V": "volt",
    "mV": "millivolt",
    "kV": "kilovolt",
    "A": "ampere",
    "mA": "milliampere",
    "mAh": "milliampere hour",
    "J": "joule",
    "kJ": "kilojoule",
    "Pa": "pascal",
    "kPa": "kilopascal",
    "hPa": "hectopascal",
    "dB": "decibel",
    "kcal": "kilocalorie",
    "px": "pixel",
    "¢": "cent",
    "°": "degree",
}

_IRREGULAR = {
    "%": ("percent", "percent"),
    "‰": ("per mille", "per mille"),
    "ft": ("foot", "feet"),
    "in": ("inch", "inches"),
    "sq ft": ("square foot", "square feet"),
    "ft²": ("square foot", "square feet"),
    "°C": ("degree Celsius", "degrees Celsius"),
    "°F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "℃": ("degree Celsius", "degrees Celsius"),
    "℉": ("degree Fahrenheit", "degrees Fahrenheit"),
    "psi": ("P S I", "P S I"),
    "rpm": ("R P M", "R P M"),
    "fps": ("frame per second", "frames per second"),
    "dpi": ("dot per inch", "dots per inch"),
    "k": ("thousand", "thousand"),
    "M": ("million", "million"),
    "bn": ("billion", "billion"),
    "B": ("billion", "billion"),
}

UNITS = _table()
"""Symbol → singular and plural."""

ATTACHED_ONLY = frozenset(["in", "A", "J", "k", "M", "bn", "B", "W", "V", "L"])
"""Too much like words to be units behind a space: "5 in a row"."""

SCALES = {"k": "thousand", "K": "thousand", "m": "million", "M": "million", "mn": "million"} | {
    "b": "billion",
    "B": "billion",
    "bn": "billion",
    "t": "trillion",
    "T": "trillion",
    "tn": "trillion",
}
"""Behind an amount of money."""

RATES = {"mo": "month", "yr": "year", "hr": "hour", "h": "hour", "s": "second", "min": "minute"} | {
    "wk": "week",
    "sec": "second",
    "d": "day",
}
"""Behind a slash: "$5/mo"."""


def british(words: str) -> str:
    """British spelling of the units above; engines with a British lexicon expect it."""
    return words.replace("meter", "metre").replace("liter", "litre")
