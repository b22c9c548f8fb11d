"""Interlaced pictures as a player shows them: one whole picture for both fields, at the same time.

FFmpeg's bwdif (the BBC's w3fdif inside yadif's decisions) keeps a still picture sharp and takes the comb out of what
moves. Pictures that the decoder does not flag as interlaced pass as they are, so that soft telecine stays whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import av

from facereel.indexer.media.filters import PictureFilter

_ARGUMENTS = "mode=send_frame:parity=auto:deint=interlaced"


def deinterlaced(pictures: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """The same number of pictures with the same times.

    From the first interlaced picture on each waits for the next one, whose fields bwdif looks at, too.
    """
    before: av.VideoFrame | None = None
    filters: PictureFilter | None = None
    for picture in pictures:
        if filters is not None and not filters.takes(picture):
            yield from filters.push(None)
            before = filters = None
        if filters is None and picture.interlaced_frame:
            filters = PictureFilter(picture, "bwdif", _ARGUMENTS)
            if before is not None and filters.takes(before):
                filters.push(before, is_context=True)
            before = None
        if filters is not None:
            yield from filters.push(picture)
        else:
            before = picture
            yield picture
    if filters is not None:
        yield from filters.push(None)
