"""Numbers as people read them, short enough for an axis."""

from datetime import date

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def count(value: float) -> str:
    """Return a number: 950, 1.2k, 34k, 5.6M."""
    for divisor, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= divisor:
            scaled = value / (1000 if unit == "k" else divisor)
            return f"{scaled:.3g}{unit}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.3g}"


def bytes_of(value: float) -> str:
    """Return a size in decimal units."""
    power = 0
    while value >= 999.5 and power < len(_UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.3g} {_UNITS[power]}"


def milliseconds(value: float) -> str:
    """Return a time that was measured in milliseconds."""
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.3g} ms"


def seconds(value: float) -> str:
    """Return a length of time."""
    if value >= 7200:
        return f"{value / 3600:.3g} h"
    return f"{value / 60:.3g} min" if value >= 120 else f"{value:.3g} s"


def whole_seconds(value: float) -> str:
    """Return a length of time for an axis, in seconds whatever it is."""
    return f"{count(value)} s"


def dollars(value: float) -> str:
    """Return US dollars, to the cent or finer where it is less than one."""
    if value == 0 or value >= 0.1:
        return f"${value:,.2f}"
    if value < 1e-6:
        return "under $0.000001"
    return f"${value:.2g}" if value >= 0.0001 else f"${value:.6f}".rstrip("0")


def axis_dollars(value: float) -> str:
    """Return US dollars for an axis, short whatever it is: $4e-5."""
    return dollars(value) if value == 0 or value >= 0.001 else f"${value:.1g}".replace("e-0", "e-")


def shown_range(first: date, last: date) -> str:
    """Return a range of days, the year once where it is the same."""
    if first == last:
        return f"{last.day} {last:%B %Y}"
    start = f"{first.day} {first:%B}" + (f" {first:%Y}" if first.year != last.year else "")
    return f"{start} to {last.day} {last:%B %Y}"
