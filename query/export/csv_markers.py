"""Who is in the picture when, as a table of markers on the video: a row a stretch."""

from __future__ import annotations

import csv
import io

from facereel.query.export.metadata import cell
from facereel.query.export.timecode import timecode_of
from facereel.query.export.timeline import Timeline
from facereel.store.files.names import one_line

# The first six are those of the table of markers that Premiere writes.
COLUMNS = (
    "Marker Name", "Description", "In", "Out", "Duration", "Marker Type", "Start Frame", "End Frame", "Video",
)  # fmt: skip


def csv_markers(timeline: Timeline) -> str:
    """The table, in order of time, with the source's timecode; `Out` and `End Frame` are the first that is not in it.

    It begins with a byte order mark, without which spreadsheets read UTF-8 as Latin-1.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for event in sorted(timeline.events, key=lambda event: (event.person_start, event.person_end)):
        length = event.person_end - event.person_start
        row = (
            one_line(event.person), f"{event.certainty}, similarity {event.similarity:.2f}",
            event.source_timecode(event.person_start), event.source_timecode(event.person_end),
            timecode_of(length, timeline.rate, timeline.drop), "Comment", event.person_start, event.person_end,
            one_line(event.media.name),
        )  # fmt: skip
        writer.writerow([cell(value) for value in row])
    return f"\ufeff{text.getvalue()}"
