"""FaceReel finds a person in video: index once, then ask with photos.

What is public is loaded when it is first used, so that importing the package costs nothing.
"""

from __future__ import annotations

__version__ = "0.2.0"
