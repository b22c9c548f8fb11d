"""Requests that no page of ours sends, byte by byte: every group tries one way to get at what is not the page's.

Each request is a line of text that says what it is, and its bytes. `Place` has what is true of one server.
"""

from __future__ import annotations

import json
import socket
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from facereel.query.web.site import Upload

Request = tuple[str, bytes]

MIB = 1 << 20
# Ways to name a file elsewhere, as an id in an address.
ESCAPES = (
    "../../../secret.txt", "..%2f..%2f..%2fsecret.txt", "%2e%2e/%2e%2e/secret.txt", "..%5c..%5csecret.txt",
    "..%252f..%252fsecret.txt", "%2fetc%2fpasswd", "%00", "%ff%fe", "sample.mp4%00.jpg", "library.db",
    "....//....//secret.txt", "%c0%ae%c0%ae%c0%afsecret.txt", "a" * 4000,
)  # fmt: skip
# Numbers that are none of an index.
NUMBERS = (
    "-1", "1e9", "NaN", "%D9%A3", "99999999999999999999999999", "0x1", "1;DROP", "%20", "t-1", "c1%27", "9" * 5_000,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """A server as an attacker may know it."""

    port: int
    cookie: str  # `name=value` of somebody who was let in
    token: str
    folder: str  # of an index
    person: int
    result: str  # folder of a result with a file `file`
    file: str

    def request(
        self,
        target: str,
        method: str = "GET",
        *,
        headers: Sequence[str] = (),
        body: bytes = b"",
        host: str | None = None,
        cookie: str | None = None,
    ) -> bytes:
        """One request of somebody who was let in, unless `cookie` says otherwise ("" for nobody)."""
        lines = [
            f"{method} {target} HTTP/1.1",
            f"Host: {host or f'127.0.0.1:{self.port}'}",
            "Connection: close",
        ]
        cookie = self.cookie if cookie is None else cookie
        lines += [f"Cookie: {cookie}"] if cookie else []
        lines += headers
        if body and not any(line.lower().startswith(("content-length", "transfer")) for line in headers):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    def post(self, target: str, body: object, *headers: str, origin: str | None = None) -> bytes:
        """A POST of JSON as the page sends it."""
        origin = f"http://127.0.0.1:{self.port}" if origin is None else origin
        words = [f"Origin: {origin}"] if origin else []
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = (
            []
            if any(h.lower().startswith("content-type") for h in headers)
            else ["Content-Type: application/json"]
        )
        return self.request(target, "POST", headers=[*words, *kind, *headers], body=data)


def paths(place: Place, gets: Sequence[str]) -> Iterator[Request]:
    """Every id of every address replaced by the name of a file elsewhere, and by what is no number."""
    for address in gets:
        for escape in (*ESCAPES, *NUMBERS):
            yield f"GET {address} with {escape[:40]}", place.request(address.replace("{}", escape))
    elsewhere = (
        "/../secret.txt", "/static/../../secret.txt", "/static/..%2f..%2fapp.py", "//etc/passwd", "/static//etc/passwd",
        "/static/%2e%2e/%2e%2e/site.py", "/.git/config", "/faceindex/library.db", "/media/video/", "/static/",
        "/outputs/", "*", "/\\..\\secret.txt", "/templates/base.html",
    )  # fmt: skip
    for target in elsewhere:
        yield f"GET {target}", place.request(target)


def hosts(place: Place) -> Iterator[Request]:
    """Names that a foreign page may have let point at this machine (DNS rebinding), and hosts that are none."""
    port = place.port
    own = f"127.0.0.1:{port}"
    foreign = (
        "evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", f"localhost.evil.example:{port}",
        f"evil-localhost:{port}", f"127.0.0.1:{port + 1}", f"localhost@evil.example:{port}", f"{own}@evil.example",
        f"{own}.evil.example", f"2130706433:{port}", f"127.1:{port}", f"0177.0.0.1:{port}", "127.0.0.1:",
        f"127.0.0.1:0{port}x", f"[::ffff:127.0.0.1]:{port}", f" :{port}", f"192.168.0.1:{port}",
        f"{own}/evil.example", f"{own},evil.example",
    )  # fmt: skip
    for host in foreign:
        yield f"Host: {host}", place.request("/people", host=host)
        yield f"API, Host: {host}", place.request("/api/jobs", host=host)
    for name in ("X-Forwarded-Host", "Forwarded", "X-Host"):
        value = f"{name}: 127.0.0.1:{port}"
        yield f"evil host with {name}", place.request("/people", host="evil.example", headers=[value])
    base = place.request("/people")
    line = f"Host: 127.0.0.1:{port}\r\n".encode()
    yield "no Host", base.replace(line, b"")
    yield "two Hosts", base.replace(line, line + b"Host: evil.example\r\n")
    yield "two Hosts, the foreign one first", base.replace(line, b"Host: evil.example\r\n" + line)
    yield "Host in the target", place.request("http://evil.example/people", host="evil.example")


def tokens(place: Place, targets: Sequence[str]) -> Iterator[Request]:
    """The token missing, wrong, or in another place."""
    name, _, value = place.cookie.partition("=")
    token = place.token
    for target in targets:
        yield f"{target} without token", place.request(target, cookie="")
    wrong = {
        "wrong": f"{name}={'x' * len(value)}", "empty": f"{name}=", "shorter": f"{name}={value[:-1]}",
        "longer": f"{name}={value}x", "upper case": f"{name}={value.swapcase()}", "another name": f"x{name}={value}",
        "name in capitals": f"{name.swapcase()}={value}", "as a list": f"{name}=[{value}]",
        "a wrong one first": f"{name}=x", "not ASCII": f"{name}={value[:-1]}\xe9",
    }  # fmt: skip
    for what, cookie in wrong.items():
        yield f"cookie {what}", place.request("/people", cookie=cookie)
    for header in (f"Authorization: Bearer {token}", f"Authorization: Basic {token}", f"X-Token: {token}",
                   f"X-CSRF-Token: {token}", f"Referer: http://127.0.0.1:{place.port}/?token={token}"):  # fmt: skip
        yield f"token in {header[:20]}", place.request("/people", cookie="", headers=[header])
    for query in ("token=", "token=x", f"token={token[:-1]}", f"token={token}x", f"token=x&token={token}",
                  f"TOKEN={token}", f"token%00={token}", f"token[]={token}"):  # fmt: skip
        yield f"GET /people?{query[:12]}...", place.request(f"/people?{query}", cookie="")
    yield "token as path", place.request(f"/{token}", cookie="")
    yield "token in a body", place.request("/people", cookie="", body=f"token={token}".encode())


def origins(place: Place, posts: Sequence[str]) -> Iterator[Request]:
    """Changes that another site asks the browser for; it adds the cookie itself."""
    port = place.port
    foreign = (
        "http://evil.example", "null", f"https://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", "http://127.0.0.1",
        f"http://127.0.0.1.evil.example:{port}", f"http://localhost.evil.example:{port}", "file://",
        f"http://127.0.0.1:{port}@evil.example", f"http://127.0.0.1:{port}.evil.example", "chrome-extension://abcdef",
    )  # fmt: skip
    for target in posts:
        for origin in foreign[:3]:
            yield f"POST {target} from {origin}", place.post(target, {"decisions": [1]}, origin=origin)
    for origin in foreign[3:]:
        yield f"POST from {origin}", place.post("/api/undo", {"decisions": [1]}, origin=origin)
    yield (
        "POST, no Origin, cross-site",
        place.post("/api/undo", {"decisions": [1]}, "Sec-Fetch-Site: cross-site", origin=""),
    )
    own = f"Origin: http://127.0.0.1:{port}"
    yield "POST, two Origins", place.post("/api/undo", {"decisions": [1]}, own, origin="http://evil.example")


def methods(place: Place, gets: Sequence[str], posts: Sequence[str]) -> Iterator[Request]:
    """Methods that an address does not have."""
    own = [f"Origin: http://127.0.0.1:{place.port}", "Content-Type: application/json"]
    for target in gets:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            yield f"{method} {target}", place.request(target, method, headers=own, body=b"{}")
    for target in posts:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            yield f"{method} {target}", place.request(target, method, headers=own)
    for method in ("TRACE", "CONNECT", "PROPFIND", "get", "GE\x00T", "OPTIONS", "M" * 300):
        yield method[:12], place.request("/people", method, headers=own)
    yield (
        "method by header",
        place.request("/people", "POST", headers=["X-HTTP-Method-Override: GET", own[0]], body=b"{}"),
    )


def bodies(place: Place, posts: Sequence[str]) -> Iterator[Request]:
    """Bodies that are not the JSON object which an address wants."""
    for target in posts:
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/html",
        ):
            yield f"{target} as {kind[:24]}", place.post(target, {"decisions": [1]}, f"Content-Type: {kind}")
    own = "/api/undo"
    wrong = {
        "no JSON": b"{", "nothing": b" ", "a list": b"[]", "a number": b"1", "null": b"null", "text": b'"x"',
        "not UTF-8": b'{"decisions": "\xff\xfe"}', "NaN": b'{"decisions": [NaN]}',
        "too large": b'{"decisions": [1e999]}',
        "deep": b"[" * 100_000 + b"]" * 100_000,
        "huge number": b'{"decisions": [' + b"9" * 5000 + b"]}",
        "a wrong type": b'{"decisions": {"a": 1}}', "minus one": b'{"decisions": [-1]}',
        "no such": b'{"decisions": [987654]}',
        "true": b'{"decisions": [true]}', "a fraction": b'{"decisions": [1.5]}', "NUL": b'{"decisions": ["1\\u0000"]}',
        "a lone surrogate": b'{"decisions": ["\\ud800"]}', "megabytes": b'{"decisions": "' + b"x" * (8 * MIB) + b'"}',
    }  # fmt: skip
    for what, body in wrong.items():
        yield f"{own} with {what}", place.post(own, body)
    yield "gzip", place.post(own, b"\x1f\x8b\x08\x00", "Content-Encoding: gzip")


def fields(place: Place, posts: Sequence[str]) -> Iterator[Request]:
    """Files elsewhere where a body has words that name people, faces, videos and folders, and values of other types."""
    names = (
        "answer", "chosen", "decisions", "face", "faces", "folder", "not", "other", "paths", "people", "person",
        "photo", "plan", "videos", "who", "with", "without",
    )  # fmt: skip
    texts = (
        "../secret.txt",
        "secret.txt#1",
        "link/secret.txt",
        "/etc/passwd",
        "..",
        "\x00",
        "\udcff",
        "9" * 5000,
    )
    values = (
        *texts,
        ["../secret.txt"],
        ["secret.txt#1"],
        10**400,
        -1,
        [True],
        [{"folder": "..", "tracklet": 1}],
    )
    # These have no such field: whatever else is in the body, they do what they are for.
    wordless = ("/drop", "/proxy", "/cancel")
    for target in posts:
        if not target.endswith(wordless):
            for value in values:
                yield (
                    f"{target} with {str(value)[:40]!r}",
                    place.post(target, dict.fromkeys(names, value)),
                )


def uploads(place: Place, addresses: Mapping[str, Upload]) -> Iterator[Request]:
    """Files of other kinds than an address accepts, larger ones, and such as only claim to be what they are not."""
    for address, upload in addresses.items():
        own = upload.types[0].replace("*", "png")
        wrong = {
            "SVG": ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"),
            "HTML": ("text/html", b"<script>1</script>"), "JSON": ("application/json", b"{}"),
            "a form": ("multipart/form-data; boundary=x", b"--x\r\n\r\nx\r\n--x--"), "no type": ("", b"x"),
            "two types": (f"text/html, {own}", b"x"), "nothing": (own, b""), "HTML that claims": (own, b"<script>"),
            "a type with NUL": (f"{own}\x00", b"x"), "SVG that claims": (own, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            "a picture of 10 gigapixels": (own, _vast_png()), "half a JPEG": (own, b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"),
        }  # fmt: skip
        for what, (kind, body) in wrong.items():
            headers = [f"Content-Type: {kind}"] if kind else ["Content-Type:"]
            yield f"{address}: {what}", place.post(address, body, *headers)
        for claimed in (upload.limit + 1, 10**12, 10**30):
            yield (
                f"{address}: {claimed} bytes",
                place.post(address, b"x", f"Content-Type: {own}", f"Content-Length: {claimed}"),
            )
        yield (
            f"{address} from elsewhere",
            place.post(address, b"x", f"Content-Type: {own}", origin="http://evil.example"),
        )


def ranges(place: Place) -> Iterator[Request]:
    """Parts of a file that no player asks for. Such a request gets the whole file, a part of it, or a refusal."""
    target = f"/media/video/{place.folder}"
    wanted = {
        "several": "bytes=0-1,3-4", "overlapping": "bytes=0-100,50-150",
        "thousands": "bytes=" + ",".join(["0-0"] * 5_000),
        "thousands of one byte": "bytes=" + ",".join(f"{n}-{n}" for n in range(0, 8_000, 2)),
        "beyond the end": f"bytes={10**18}-", "huge": f"bytes=0-{10**30}",
        "thousands of digits": "bytes=" + "9" * 5_000 + "-",
        "negative": "bytes=-1--5", "the last of none": "bytes=-0", "more than there is": f"bytes=-{10**18}",
        "backwards": "bytes=10-5", "nothing": "bytes=", "no numbers": "bytes=a-b", "a fraction": "bytes=0.5-1.5",
        "only a dash": "bytes=-", "only commas": "bytes=,,,", "another unit": "lines=0-1", "no unit": "0-1",
        "other digits": "bytes=\xb2-\xb3", "spaces": "bytes = 0 - 1", "NUL": "bytes=0-\x00",
    }  # fmt: skip
    for what, header in wanted.items():
        yield f"Range: {what}", place.request(target, headers=[f"Range: {header}"])
    for what, header in {
        "a date": "Thu, 01 Jan 1970 00:00:00 GMT",
        "no tag": "x" * 4_000,
        "a tag": '"x"',
    }.items():
        yield f"If-Range: {what}", place.request(target, headers=["Range: bytes=0-1", f"If-Range: {header}"])


def _vast_png() -> bytes:
    """A few bytes that claim to be a picture of 100,000 by 100,000 pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))


def framing(place: Place) -> Iterator[Request]:
    """Requests that two programs may read otherwise."""
    own = f"Origin: http://127.0.0.1:{place.port}"
    kind = "Content-Type: application/json"
    yield (
        "two lengths",
        place.request(
            "/api/undo", "POST", headers=[own, kind, "Content-Length: 2", "Content-Length: 30"], body=b"{}"
        ),
    )
    yield (
        "length and chunks",
        place.request(
            "/api/undo",
            "POST",
            headers=[own, kind, "Content-Length: 4", "Transfer-Encoding: chunked"],
            body=b"0\r\n\r\n",
        ),
    )
    yield (
        "negative length",
        place.request("/api/undo", "POST", headers=[own, kind, "Content-Length: -1"], body=b"{}"),
    )
    yield "NUL in a header", place.request("/people", headers=["X-A: a\x00b"])
    yield "long header", place.request("/people", headers=["X-A: " + "a" * 200_000])
    yield "many headers", place.request("/people", headers=[f"X-{n}: a" for n in range(20_000)])
    yield "space in the target", place.request("/people /x")
    yield "no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300


def send(port: int, request: bytes, seconds: float = 20.0) -> tuple[int, bytes]:
    """(status, whole answer) of one request; status 0 when the server hangs up without a word.

    A server may answer and hang up before it has read all; what it said by then counts. Raises TimeoutError when it
    neither answers nor hangs up.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(request)
        with suppress(ConnectionResetError):
            while block := connection.recv(1 << 16):
                answer += block
    words = answer.split(b" ", 2)
    return (int(words[1]) if len(words) > 2 and words[0].startswith(b"HTTP/") else 0), answer
