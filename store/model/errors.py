"""Every error a user can meet, with what went wrong, which value, and the remedy in one line.

FaceReelError
├── InputError            something handed in cannot be used
│   ├── VideoError        not there, not a video, no picture stream, nothing decodable
│   ├── PhotoError        not there, unreadable, no face, no such face
│   └── OptionError       a value out of its range, a name nobody knows
│       └── ContradictionError  options of which one rules out the other
├── StoreError            the memory of what was indexed
│   ├── NotIndexedError   nothing is known of that video
│   ├── EngineMismatchError  indexed by another engine or other weights
│   ├── ChangedIndexError  another index.db than the one whose numbers are given
│   ├── NewerIndexError   index.db or library.db was written by a newer version
│   ├── DamagedIndexError index.db cannot be read
│   ├── DamagedLibraryError  library.db cannot be read
│   ├── BusyLibraryError  another process writes library.db
│   └── UnwritableError   a folder that cannot be written
├── EngineError           weights missing or not what they should be, an engine nobody knows
│   └── MissingPackError  weights that are fetched only when somebody asks for it
├── ResultExistsError     a result folder is already there
├── CutError              a clip could not be cut exactly
└── InternalError         a bug in FaceReel itself
"""


class FaceReelError(Exception):
    """Root of the tree; its message is one line: what, which value, the remedy."""


class InputError(FaceReelError):
    """Something handed in cannot be used."""


class VideoError(InputError):
    """A video that is not there, is none, or has nothing to decode."""


class PhotoError(InputError):
    """A photo that is not there, is unreadable, or shows no usable face."""


class OptionError(InputError):
    """A setting out of its range."""


class ContradictionError(OptionError):
    """Options of which one rules out the other; on the command line as a wrong command."""


class StoreError(FaceReelError):
    """The store cannot answer."""


class NotIndexedError(StoreError):
    """Nothing is known of a video."""


class EngineMismatchError(StoreError):
    """An index was made by another engine than the one that asks."""


class ChangedIndexError(StoreError):
    """An index was written anew since the numbers of its faces were read."""


class NewerIndexError(StoreError):
    """An index or a library was written by a newer version of the program."""


class DamagedIndexError(StoreError):
    """An index.db cannot be read."""


class DamagedLibraryError(StoreError):
    """A library.db cannot be read."""


class BusyLibraryError(StoreError):
    """Another process writes library.db for too long."""


class UnwritableError(StoreError):
    """A folder cannot be written."""


class EngineError(FaceReelError):
    """An engine is unknown or its weights are missing or altered."""


class MissingPackError(EngineError):
    """An engine's weights are not here yet and are fetched only when somebody asks for it."""


class ResultExistsError(FaceReelError):
    """A result folder is already there."""


class CutError(FaceReelError):
    """A clip could not be cut exactly."""


class InternalError(FaceReelError):
    """A bug in FaceReel itself, to be reported."""
