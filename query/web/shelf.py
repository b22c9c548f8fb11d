"""Things that a page goes on with, such as an answer whose matches are ticked: the newest ones, in memory alone."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from facereel.api import NotIndexedError

T = TypeVar("T")


class Shelf(Generic[T]):
    """At most so many things, each under an id that nobody guesses; the one that was not used for longest goes."""

    def __init__(self, most: int, remedy: str) -> None:
        """`remedy` is the message for an id of something that is gone."""
        self._most, self._remedy = most, remedy
        self._things: OrderedDict[str, T] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, thing: T) -> str:
        """Its id."""
        number = secrets.token_hex(8)
        with self._lock:
            self._things[number] = thing
            while len(self._things) > self._most:
                self._things.popitem(last=False)
        return number

    def get(self, number: str) -> T:
        """Raises NotIndexedError for what is gone."""
        with self._lock:
            if number not in self._things:
                raise NotIndexedError(self._remedy)
            self._things.move_to_end(number)
            return self._things[number]

    def drop(self, number: str) -> None:
        """Remove one, if it is still there."""
        with self._lock:
            self._things.pop(number, None)

    def clear(self) -> None:
        """Remove all."""
        with self._lock:
            self._things.clear()
