"""What stands before every handler: who may ask, under which name, from where, and how much.

A page of another site can let a browser ask this server, and its name can be made to point at this machine (DNS
rebinding). So the Host header must be ours, the cookie with the token must come with every request, and changes must
come from our own pages, by Origin and by a content type that no form can send.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facereel.query.web.site import Upload

JSON_LIMIT = 1 << 20  # bytes; a request of ours has some hundred ids at most
TOKEN = "token"  # in the query of the printed address
_JSON = Upload(("application/json",), JSON_LIMIT)
_READS = ("GET", "HEAD")
_HTTP_PORT = 80  # of addresses without a port
_LONGEST_PATH = 4_000  # characters; Python reads no number of more than 4,300 digits

# Nothing from elsewhere, nothing inline, nobody's frame.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


class Refused(Exception):
    """A request that no handler sees."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Guard:
    """An ASGI application around another; reads the bodies that it lets through into `request.state.body`."""

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        port: int,
        host: str = "127.0.0.1",
        uploads: Mapping[str, Upload] | None = None,
    ) -> None:
        self._app, self._token, self._port, self._host = app, token, port, host
        self._uploads = dict(uploads or {})
        # Cookies do not know ports: two servers on one machine need two names.
        self._cookie = f"facereel_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer, with headers that keep the page to itself."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        # Whoever ends the server waits for no answer that takes long: it is cancelled, and that is no fault to report.
        with suppress(asyncio.CancelledError):
            try:
                early = self._check(scope, Headers(scope=scope))
                if early is None:
                    receive = await self._body(scope, receive)
            except Refused as refusal:
                early = PlainTextResponse(f"{refusal}\n", refusal.status)
            await (early or self._app)(scope, receive, send_guarded)

    def _check(self, scope: Scope, headers: Headers) -> Response | None:
        """Let it through, or answer at once: the printed address gets the cookie and leads to the page without it."""
        if not self._is_our_name(headers.getlist("host")):
            raise Refused(421, "this server has another name; open the address that it printed")
        if scope["method"] not in (*_READS, "POST"):
            raise Refused(405, "this server knows GET and POST only")
        if len(scope["path"]) > _LONGEST_PATH:
            raise Refused(414, "that address is too long; go on from a page of this server")
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["method"] in _READS and any(name == TOKEN for name, _ in query):
            return self._let_in(scope, headers, query)
        if not self._has_cookie(headers):
            raise Refused(
                403, "this page is not open to everybody; open the address that `facereel serve` printed"
            )
        if scope["method"] == "POST":
            self._check_change(headers)
        return None

    def _is_our_name(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name, colon, port = hosts[0].rpartition(":")
        if self._port == _HTTP_PORT and (not colon or hosts[0].endswith("]")):  # browsers leave it out
            name, port = hosts[0], str(self._port)
        if port != str(self._port):
            return False
        if name in ("127.0.0.1", "localhost", self._host, f"[{self._host}]"):
            return True
        if self._host not in ("0.0.0.0", "::"):
            return False
        # Whoever serves to a network is asked by address or by the machine's name. An address cannot be rebound.
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return name.lower() == socket.gethostname().lower()
        return True

    def _let_in(self, scope: Scope, headers: Headers, query: list[tuple[str, str]]) -> Response:
        tokens = [value for name, value in query if name == TOKEN]
        if len(tokens) != 1 or not self._is_token(tokens[0]):
            raise Refused(403, "that token is not this server's; open the address that it printed last")
        rest = urlencode([pair for pair in query if pair[0] != TOKEN])
        # Leading slashes would make it an address elsewhere; browsers take backslashes for slashes.
        path = "/" + scope["raw_path"].decode("latin-1").lstrip("/\\")
        place = f"{path}?{rest}" if rest else path
        answer: Response = RedirectResponse(place, 303)
        if headers.get("sec-fetch-site") == "cross-site":
            # From a file or a link elsewhere: after a redirect the browser would keep the cookie back, and with it the
            # page. A page of our own that leads on is asked with it.
            answer = HTMLResponse(
                f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(place)}">'
            )
        answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict", path="/")
        return answer

    def _has_cookie(self, headers: Headers) -> bool:
        # Cookies of other programs on this machine come along, and http.cookies gives up at one that it cannot read.
        pairs = (
            pair.strip().partition("=") for line in headers.getlist("cookie") for pair in line.split(";")
        )
        values = [value for name, _, value in pairs if name == self._cookie]
        return len(values) == 1 and self._is_token(values[0])

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token.encode())

    def _check_change(self, headers: Headers) -> None:
        origins = headers.getlist("origin")
        if (
            origins != [f"http://{headers['host']}"]
            or headers.get("sec-fetch-site", "same-origin") != "same-origin"
        ):
            raise Refused(403, "changes are made from this server's own pages only")
        if "content-encoding" in headers:
            raise Refused(415, "send it without compression")

    async def _body(self, scope: Scope, receive: Receive) -> Receive:
        """Read the body, or count it while a handler reads it that streams; no more than the address accepts."""
        headers = Headers(scope=scope)
        state = scope.setdefault("state", {})
        if scope["method"] != "POST":
            state["body"] = b""
            return receive
        upload = self._uploads.get(scope["path"], _JSON)
        kind = headers.get("content-type", "").split(";")[0].strip().lower()
        if kind not in upload.types and f"{kind.split('/')[0]}/*" not in upload.types:
            raise Refused(
                415, f"this address accepts {', '.join(upload.types)}, not {kind[:60] or 'nothing named'}"
            )
        too_large = Refused(
            413, f"that is larger than {upload.limit >> 20} MiB, the most that is accepted here"
        )
        # The server below has checked that it is a number; what has no length is counted as it comes.
        if int(headers.get("content-length", "0")) > upload.limit:
            raise too_large
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > upload.limit:
                raise too_large
            return message

        if upload.stream:
            return counted
        blocks = []
        while True:
            message = await counted()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the request ended early")
            blocks.append(message.get("body", b""))
            if not message.get("more_body", False):
                break
        state["body"] = b"".join(blocks)
        return receive
