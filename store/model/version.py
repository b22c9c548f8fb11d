"""Which version made an index, and which results may be mixed.

The schema of index.db says whether a file can be read; RESULTS_VERSION says whether what stands in it would come out
again. It is raised whenever a change of the program changes shots, tracklets, embeddings or clusters. Then

- a checkpoint with another number is thrown away, because one index never mixes two;
- a complete index with another number stays searchable where its embeddings compare (EngineInfo.compares_with), and
  `results_warning` says how to make it again;
- `index` does not do a video again by itself: it says so and names --force.
"""

from __future__ import annotations

from facereel import __version__

RESULTS_VERSION = 4
# What made the indexes that do not say it.
FIRST_RESULTS_VERSION = 1
FIRST_FACEREEL_VERSION = "0.1.0"

FACEREEL_VERSION = __version__


def results_warning(video: str, facereel_version: str, results_version: int, command: str) -> str | None:
    """What to tell about an index whose results are another version's, with the command that makes it again."""
    if results_version == RESULTS_VERSION:
        return None
    return (
        f"{video} was indexed by FaceReel {facereel_version}, whose results differ from this version's; "
        f"to index it again run: {command}"
    )
