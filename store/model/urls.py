"""Videos that are no files of this machine: `s3://bucket/film.mp4`, and whatever else has such an address."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

# At least two letters: one is a drive of Windows.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://\S")
# Parameters that give access: of addresses that S3 and Google sign, and what is a secret by its name.
_SECRET = re.compile(
    r"x-(amz|goog)-.+|(.*[_-])?(sig|signature|token|secret|password|passwd|auth|credentials?)|awsaccesskeyid|googleaccessid"
    r"|(.*[_-])(key|keyid|key[_-]id)|apikey|accesskey",
    re.IGNORECASE,
)
# These only belong to a signature, of CloudFront and Azure: elsewhere they may say which video is meant.
_BESIDE_SIGNATURE = re.compile(r"expires|policy|key-pair-id|s([eprstv]|pr|rt|ip|k[esv]|kt|koid|ktid)")
_QUERY = re.compile(r"\?[^#\s'\"<>()]*=[^#\s'\"<>()]*")
_PASSWORD = re.compile(r"(://)[^/@\s:]*:[^/@\s]*@")


class Url(str):
    """The address of a video as it is stored and shown, with the name of its file as a Path has it.

    What of it gives access is left out, such as a signature: that is only in `full`, for whoever opens it. So an
    address that is signed anew is the same.
    """

    full: str  # the address as it was given

    def __new__(cls, text: str) -> Url:
        url = super().__new__(cls, without_secrets(text))
        url.full = text.full if isinstance(text, Url) else text
        return url

    @property
    def name(self) -> str:
        """The last part of the path, without the query that follows it."""
        return PurePosixPath(unquote(urlsplit(self).path)).name or self


def is_url(text: str) -> bool:
    """Whether a text is an address, and not the path of a file."""
    return _URL.match(text) is not None


def without_secrets(text: str) -> str:
    """A text without the passwords, keys and signatures of the addresses in it."""
    return _QUERY.sub(_public_query, _PASSWORD.sub(r"\1", text))


def _public_query(match: re.Match[str]) -> str:
    parts = match[0][1:].split("&")
    names = [unquote(part.partition("=")[0]).lower() for part in parts]
    signed = any(name in ("sig", "signature") for name in names)
    public = [
        part for part, name in zip(parts, names, strict=True)
        if not _SECRET.fullmatch(name) and not (signed and _BESIDE_SIGNATURE.fullmatch(name))
    ]  # fmt: skip
    return "?" + "&".join(public) if public else ""
