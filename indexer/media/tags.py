"""What a video's file says for editors: timecode and reel of its first frame, and its sound."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from facereel.indexer.media.container import open_video, picture_stream, sound_stream


@dataclass(frozen=True, slots=True)
class SourceTags:
    """The tags of one file."""

    timecode: str | None  # of the first frame as the file spells it, `01:00:00;00` where frames are dropped
    reel: str | None  # name of the tape or card
    channels: int  # of its sound; 0: it has none
    sound_rate: int  # Hz


def source_tags(path: Path) -> SourceTags:
    """Read the tags of a file, decoding nothing; raises VideoError for a file that cannot be opened.

    FFmpeg gives a QuickTime timecode track (`tmcd`) and the timecode of MXF, DV and MPEG as tags called `timecode`, of
    the stream or of the file.
    """
    with open_video(path) as container:
        sound = sound_stream(container)
        places = [picture_stream(container, path).metadata, *(s.metadata for s in container.streams.data)]
        places.append(container.metadata)
        return SourceTags(
            timecode=next((tags["timecode"] for tags in places if tags.get("timecode")), None),
            reel=next((tags["reel_name"] for tags in places if tags.get("reel_name")), None),
            channels=0 if sound is None else sound.channels,
            sound_rate=0 if sound is None else sound.rate,
        )
