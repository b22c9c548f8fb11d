"""Times and counts as people read them."""

from __future__ import annotations


def clock(seconds: float) -> str:
    """`1:02:03.250`, `0:03.337`: a time as a player shows it, to the millisecond."""
    milliseconds = round(abs(seconds) * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    sign = "-" if seconds < 0 and milliseconds else ""
    if minutes >= 60:
        return f"{sign}{minutes // 60}:{minutes % 60:02}:{rest / 1000:06.3f}"
    return f"{sign}{minutes}:{rest / 1000:06.3f}"


def count(number: int, thing: str, things: str = "") -> str:
    """`1 clip`, `2 clips`, `3 people`."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
