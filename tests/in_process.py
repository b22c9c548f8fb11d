"""The page's application without a server: requests to it in this process, as one of its own pages sends them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from facereel import Library
from facereel.query.web.app import guarded
from facereel.query.web.jobs import Jobs
from facereel.query.web.site import Site

PORT = 8000


class InProcess:
    """Somebody whom the token let in; faults of the program are raised here instead of answered."""

    def __init__(self, library: Library, root: Path, port: int = PORT) -> None:
        self.origin = "http://127.0.0.1" if port == 80 else f"http://127.0.0.1:{port}"  # as browsers write it
        self.site = Site(library, root, root / "outputs", Jobs())
        self._app: Any = guarded(self.site, "secret", port, "127.0.0.1")
        self._cookies = self._send("GET", "/?token=secret").cookies

    def get(self, path: str, **options: Any) -> httpx.Response:
        """Read an address."""
        return self._send("GET", path, **options)

    def post(self, path: str, body: object = None, **options: Any) -> httpx.Response:
        """Change something: a JSON body, or `content` with its own content type in `headers`."""
        words = options if "content" in options else {"json": body, **options}
        return self._send("POST", path, **words)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Origin": self.origin} | options.pop("headers", {})
        return asyncio.run(self._ask(method, path, headers=headers, **options))

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        cookies = getattr(self, "_cookies", None)
        async with httpx.AsyncClient(transport=transport, base_url=self.origin, cookies=cookies) as client:
            return await client.request(method, path, **options)
