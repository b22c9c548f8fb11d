"""Names for files and folders that are legal everywhere, and paths as they are printed."""

from __future__ import annotations

import re
import shlex
import unicodedata
from pathlib import Path
from typing import Any

# With the 13 bytes of the hash and the 23 of a prefix this stays below 143 bytes, the longest file name that
# eCryptfs allows (ext4, APFS and NTFS allow 255).
MAX_NAME_BYTES = 100
HASH_DIGITS = 12
DEFAULT_STORE = Path("faceindex")
_LEGAL_PUNCTUATION = " !#$%&'()+,-.;=@[]^_`{}~"  # of ASCII; Windows forbids the rest

_INDEX_FOLDER = re.compile(rf"(?!\.).+-([0-9a-f]{{{HASH_DIGITS}}})", re.DOTALL)


def safe_name(name: str, default: str = "video", keep: str = "._-", strip: str = "-._") -> str:
    """A name that is legal on every file system: letters, marks and digits of any script stay, and `keep`.

    Anything else becomes "_"; characters of `strip` go at both ends; `default` is for a name of which nothing is left.
    """
    allowed = [c if c in keep or unicodedata.category(c)[0] in "LNM" else "_" for c in name]
    safe = "".join(allowed).strip(strip)
    while len(safe.encode()) > MAX_NAME_BYTES:
        safe = safe[:-1]
    return safe.rstrip(strip) or default


def result_name(name: str, default: str) -> str:
    """A name for the files and folders of a result: legal everywhere like `safe_name`, but close to the original.

    A leading dash becomes "_", because programs take it for an option. `default` is also for a name of which "_" alone
    would be left, as of one of emoji.
    """
    safe = safe_name(name, default, keep=_LEGAL_PUNCTUATION, strip=" .")
    if not safe.strip("_ ") and name.strip("_ ."):
        return default
    return f"_{safe[1:]}" if safe.startswith("-") else safe


def folder_name(video_name: str, sha256: str) -> str:
    """The folder name of a video's index: its safe name and the first 12 digits of its content's hash."""
    return f"{safe_name(video_name)}-{sha256[:HASH_DIGITS]}"


def hash_suffix(name: str) -> str | None:
    """The 12 hash digits at the end of an index's folder name; None for any other name."""
    found = _INDEX_FOLDER.fullmatch(name)
    return found[1] if found else None


def printable(path: str | Path) -> str:
    """A path as part of a one-line message: characters that do not print are escaped, each alone."""
    return "".join(c if c.isprintable() else _escaped(c) for c in str(path))


def one_line(text: str) -> str:
    """A name for formats of text lines and of XML: line breaks, control characters and what UTF-8 or XML lacks escaped.

    Unlike `printable` it keeps the invisible characters that scripts and emoji are written with.
    """
    return "".join(
        _escaped(c) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in "\ufffe\uffff" else c
        for c in text
    )


def with_escapes(value: Any) -> Any:
    """A value for JSON or CSV, of which every text can be written as UTF-8: other bytes of names become `\\xe9`."""
    if isinstance(value, str):
        return (
            value
            if value.isascii()
            else "".join(_escaped(c) if "\ud800" <= c <= "\udfff" else c for c in value)
        )
    if isinstance(value, dict):
        return {with_escapes(key): with_escapes(item) for key, item in value.items()}
    return [with_escapes(item) for item in value] if isinstance(value, list | tuple) else value


def _escaped(character: str) -> str:
    """One character as an escape; Python has a byte of a name that is not UTF-8 as a lone surrogate."""
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def store_option(store: Path) -> str:
    """What names a store in a command that a message shows; nothing for the default one."""
    return "" if store == DEFAULT_STORE else f" --store {shlex.quote(printable(store))}"
