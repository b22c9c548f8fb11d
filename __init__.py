"""FaceReel finds a person in video: index once, then ask with photos.

The public API is `facereel.api`. Its names are loaded when they are first used, so that importing the package costs
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facereel.api import (
        Answer,
        Answers,
        Calibration,
        Clip,
        ClusterSummary,
        CutError,
        DamagedIndexError,
        DamagedLibraryError,
        EngineError,
        EngineMismatchError,
        Event,
        FaceReelError,
        Failed,
        FailedPerson,
        ForgetPlan,
        ForgetReport,
        Health,
        Holding,
        Indexed,
        IndexReport,
        InputError,
        InternalError,
        Library,
        Match,
        MissingPackError,
        NearMiss,
        NewerIndexError,
        Note,
        NotIndexedError,
        OptionError,
        People,
        PersonQuery,
        PhotoError,
        Progress,
        Reembedded,
        Reference,
        Result,
        ResultExistsError,
        Sheet,
        SkippedVideo,
        Started,
        StoreError,
        UnwritableError,
        VideoDetails,
        VideoError,
        Videos,
        VideoSummary,
        check_clip_options,
        check_target,
        download_pack,
        engines,
        pack_licence,
        result_folders,
    )

__version__ = "0.3.0"

__all__ = [
    "Answer",
    "Answers",
    "Calibration",
    "Clip",
    "ClusterSummary",
    "CutError",
    "DamagedIndexError",
    "DamagedLibraryError",
    "EngineError",
    "EngineMismatchError",
    "Event",
    "FaceReelError",
    "Failed",
    "FailedPerson",
    "ForgetPlan",
    "ForgetReport",
    "Health",
    "Holding",
    "IndexReport",
    "Indexed",
    "InputError",
    "InternalError",
    "Library",
    "Match",
    "MissingPackError",
    "NearMiss",
    "NewerIndexError",
    "NotIndexedError",
    "Note",
    "OptionError",
    "People",
    "PersonQuery",
    "PhotoError",
    "Progress",
    "Reembedded",
    "Reference",
    "Result",
    "ResultExistsError",
    "Sheet",
    "SkippedVideo",
    "Started",
    "StoreError",
    "UnwritableError",
    "VideoDetails",
    "VideoError",
    "VideoSummary",
    "Videos",
    "__version__",
    "check_clip_options",
    "check_target",
    "download_pack",
    "engines",
    "pack_licence",
    "result_folders",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from facereel import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
