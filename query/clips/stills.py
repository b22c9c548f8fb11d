"""One frame of an indexed video as a picture, found by its time stamp as the cutter finds the frames of a clip."""

from __future__ import annotations

from pathlib import Path

import av.error
import cv2

from facereel.indexer.media.container import error_text, open_video
from facereel.indexer.media.display import orientation
from facereel.indexer.media.frame import Frame
from facereel.indexer.media.source import check_source
from facereel.query.clips.cutter import SEEK_MARGINS, FrameMissingError, exact_frames
from facereel.store.files.names import printable
from facereel.store.index.reader import VideoIndex
from facereel.store.model.errors import CutError, OptionError
from facereel.store.model.records import FrameTimes, Image, Video

_QUALITY = 82  # of the JPEG


def read_still(index: VideoIndex, frame: int, width: int | None, store: Path) -> bytes:
    """A frame as it is displayed, as a JPEG, made smaller to `width` pixels where it is wider.

    Raises OptionError for a frame that the video does not have, VideoError where the video is gone or changed, CutError
    where it does not give the frame.
    """
    video = index.video
    if not 0 <= frame < video.frame_count:
        raise OptionError(f"{printable(video.name)} has frames 0 to {video.frame_count - 1}, not {frame}")
    check_source(video, store=store)
    try:
        picture = _read(video, index.times(), frame, min(width or video.width, video.width))
    except (av.error.FFmpegError, OSError) as error:
        raise CutError(
            f"frame {frame} of {printable(video.name)} cannot be read ({error_text(error)})"
        ) from error
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes()


def _read(video: Video, times: FrameTimes, number: int, width: int) -> Image:
    height = max(1, round(video.height * width / video.width))
    for margin in (*SEEK_MARGINS, None):
        with open_video(Path(video.path)) as container:
            try:
                _, picture = next(exact_frames(container, video, times, (number, number + 1), margin))
            except FrameMissingError:
                continue
            rotation, mirrored = orientation(picture)
            frame = Frame(number, picture, 0.0, 0.0, (video.width, video.height), rotation, mirrored)
            return frame.image(width, height)
    raise CutError(
        f"frame {number} of {printable(video.name)} is not where it was when the video was indexed; "
        f"run: facereel index --force {printable(video.name)}"
    )
