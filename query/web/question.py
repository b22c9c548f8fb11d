"""A question that was asked on the page, with its answer: matches of it are looked at, ticked and cut afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from facereel import api


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What was asked, its answer, and the command that asks the same."""

    people: api.People
    answer: api.Answer
    command: api.QueryCommand

    @property
    def matches(self) -> tuple[api.Match, ...]:
        """Sure ones, then possible ones: a page names them by their place."""
        return (*self.answer.matches, *self.answer.possible)
