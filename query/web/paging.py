"""Lists that are shown a page at a time, by `page` in the address."""

from __future__ import annotations

from starlette.requests import Request

_LAST = 1_000_000  # no library has more pages


def page_number(request: Request) -> int:
    """The page that an address asks for, from 1; 1 for what is no number."""
    text = request.query_params.get("page", "1")
    return min(max(int(text[:20]), 1), _LAST) if text.isascii() and text.isdecimal() else 1


class Paging:
    """Where a list stands, for the template `_paging.html`."""

    def __init__(self, request: Request, offset: int, size: int, total: int) -> None:
        self.number, self.pages = offset // size + 1, max(1, -(-total // size))
        self.first, self.last, self.total = min(offset + 1, total), min(offset + size, total), total
        self._request = request

    def address(self, number: int) -> str:
        """That of another page of the same list."""
        return str(self._request.url.include_query_params(page=number).query)
