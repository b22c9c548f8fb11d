"""What a message of the library tells people to do, in the words of the page: its users have no command line."""

from __future__ import annotations

import re

# What the options do, on the page, by how messages name them; the first that fits counts.
_REMEDIES = (
    ("add --overwrite, or choose another --out or --name", "give the result another name"),
    ("add --overwrite, or choose another --out", "replace it, or move it away first"),
    ("choose another --out or --name", "give the result another name"),
    ("free some space, or choose another --out", "free some space there"),
    ("choose another --out", "let the server write there"),
    ("name another with --store DIR", "the server has to be started with another one"),
    ("use --codec h264 for that", "choose MP4, H.264 for that"),
    ("use --codec h264", "choose MP4, H.264"),
    ("--format mov keeps", "MOV keeps"),
    ("--codec prores keeps", "MOV, ProRes keeps"),
    ("--face 2 uses the next in size, and so on", "choose another one on the photo"),
    ("give photos of one person together, without --person", "give photos of one person together"),
)
# Fields of the page by the options that they stand for.
_FIELDS = {
    "aspect": "Shape", "codec": "File", "crop": "Crop", "format": "File", "handles": "Handles",
    "min-duration": "At least", "name": "Name", "not": "Not", "size": "Size", "whole-shots": "Whole shots",
    "with": "With", "without": "Without",
}  # fmt: skip
_OPTION = re.compile(rf"--({'|'.join(sorted(_FIELDS, key=len, reverse=True))})\b(?!-)")


def page_remedy(text: str) -> str:
    """A message with what a user of the page can do; commands to run stay, for whoever started the server."""
    if "--" not in text or "facereel " in text:
        return text
    for said, done in _REMEDIES:
        text = text.replace(said, done)
    return _OPTION.sub(lambda found: _FIELDS[found[1]], text)
