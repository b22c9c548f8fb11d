"""The JSON object of a request, read field by field: what is of another type than a handler wants is refused.

Whatever is refused is an OptionError that names the field. Our own pages send nothing of the kind.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request

from facereel.api import OptionError

_MOST = 2**63 - 1  # that SQLite stores as a number


class Fields:
    """The fields of a JSON object. One that is missing is empty, as is one that is null."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __contains__(self, key: str) -> bool:
        """Whether there is a field of that name that is not null."""
        return self._values.get(key) is not None

    def text(self, key: str) -> str:
        """A text, without the spaces around it; an id may be written as a number."""
        return "" if key not in self else _text(key, self._values[key])

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, without those that are empty."""
        return tuple(text for value in self.items(key) if (text := _text(key, value)))

    def paths(self, key: str) -> tuple[str, ...]:
        """A list of texts with the spaces around them, which names of files may have."""
        found = self.items(key)
        if not all(isinstance(value, str) for value in found):
            raise OptionError(f"{key} is no list of texts; reload the page")
        return found

    def integer(self, key: str) -> int:
        """A whole number from 0 on, which has to be there."""
        return _integer(key, self._values.get(key))

    def integers(self, key: str) -> tuple[int, ...]:
        """A list of whole numbers from 0 on."""
        return tuple(_integer(key, value) for value in self.items(key))

    def number(self, key: str, most: float) -> float | None:
        """A number from 0 to `most`; None where there is none, or an empty text, as of an empty input."""
        value = self._values.get(key)
        if value is None or value == "":
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise OptionError(f"{key} is no number from 0 to {most:g}; write another one")
        return float(value)

    def flag(self, key: str) -> bool:
        """Yes or no; no where it is missing."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, bool):
            raise OptionError(f"{key} is neither true nor false; reload the page")
        return value is True

    def items(self, key: str) -> tuple[Any, ...]:
        """A list of anything."""
        value = self._values.get(key)
        if value is not None and not isinstance(value, list):
            raise OptionError(f"{key} is no list; reload the page")
        return tuple(value or ())

    def objects(self, key: str) -> tuple[Fields, ...]:
        """A list of JSON objects."""
        found = self.items(key)
        if not all(isinstance(value, dict) for value in found):
            raise OptionError(f"{key} is no list of objects; reload the page")
        return tuple(map(Fields, found))


def read_fields(request: Request) -> Fields:
    """The JSON object that a POST has for a body, which the guard has read; raises OptionError where it is none."""
    try:
        body = json.loads(request.state.body or b"{}", parse_constant=_no_number)
        json.dumps(body, ensure_ascii=False).encode()  # half a character, written as \udcff, is no text
    except (ValueError, RecursionError) as error:
        raise OptionError("the request is not JSON; reload the page") from error
    if not isinstance(body, dict):
        raise OptionError("the request is not a JSON object; reload the page")
    return Fields(body)


def _text(key: str, value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise OptionError(f"{key} is no text; reload the page")
    return str(value).strip()


def _integer(key: str, value: object) -> int:
    # A bool is an int of Python.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST:
        raise OptionError(f"{key} is no whole number; reload the page")
    return value


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")
