"""What clips and copies of a video do not keep of it, in words; decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from av.container import InputContainer

from facereel.indexer.media.container import open_video, other_films, picture_stream, sound_streams
from facereel.indexer.media.tone_mapping import HDR
from facereel.query.clips.stream_copy import copied_sounds
from facereel.query.records import ClipPlan
from facereel.query.text import count
from facereel.store.files.names import printable


def losses_of(clips: Sequence[ClipPlan]) -> tuple[str, ...]:
    """A sentence for videos whose clips do not keep the same; raises VideoError."""
    videos: dict[str, list[str]] = {}
    for clip in {clip.match.video.path: clip for clip in clips}.values():
        path = Path(clip.match.video.path)
        with open_video(path) as container:
            lost = [*lost_streams(container, path, timecode=False), *_sounds(container, clip)]
            lost += _picture(container, path, clip)
        if lost:
            videos.setdefault("; ".join(lost), []).append(printable(clip.match.video.name))
    return tuple(f"not in the clips of {_named(names)}: {text}" for text, names in videos.items())


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {count(len(names) - 1, 'more video')}"


def lost_streams(container: InputContainer, path: Path, timecode: bool) -> Iterator[str]:
    """What besides one film and its sound nothing that is written of a video has; its timecode only if `timecode`."""
    streams = container.streams
    data = [stream for stream in streams.data if timecode or "timecode" not in stream.metadata]
    moving = max(0, other_films(container, path))
    for number, thing in (
        (len(streams.subtitles), "subtitle track"), (len(data), "data track"), (len(streams.attachments), "attachment"),
        (len(container.chapters()), "chapter mark"), (moving, "other picture track"),
        (len(streams.video) - 1 - moving, "cover or preview"),
    ):  # fmt: skip
        if number > 0:
            yield count(number, thing, "covers or previews" if thing == "cover or preview" else "")


def _sounds(container: InputContainer, clip: ClipPlan) -> Iterator[str]:
    decodable = sound_streams(container)
    written = copied_sounds(container, clip.file_format) if clip.codec == "copy" else decodable
    if missing := len(container.streams.audio) - len(written):
        yield count(
            missing, "sound track that this format cannot hold", "sound tracks that this format cannot hold"
        )
    if clip.codec != "copy" and clip.file_format == "mp4" and any(stream.channels > 2 for stream in written):
        yield "more than two channels of sound (--format mov keeps them)"


def _picture(container: InputContainer, path: Path, clip: ClipPlan) -> Iterator[str]:
    context = picture_stream(container, path).codec_context
    if clip.codec == "copy" or context.format is None:
        return
    bits = max(component.bits for component in context.format.components)
    written = 8 if clip.file_format == "mp4" else 10
    if bits > written:
        more = " (--format mov keeps 10)" if written == 8 else ""
        yield f"{bits} bits a sample, but {written}{more}"
    if context.color_trc in HDR and written == 8:
        yield "HDR, whose highlights are compressed (--format mov keeps it)"
    width, height = context.format.chroma_width(64), context.format.chroma_height(64)
    kept = (32, 64) if clip.codec == "prores" else (32, 32)
    if not context.format.is_rgb and len(context.format.components) > 1 and (width, height) > kept:
        more = "" if clip.codec == "prores" or width > 32 else " (--codec prores keeps it)"
        yield f"colour in full detail{more}"
