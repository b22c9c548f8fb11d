"""Reads video files: what a file is, its frames in display order, and what was lost.

Every container is opened by `open_video` in container.py: local files only, no playlists, bounded pictures. A file
that cannot be used raises VideoError; a fault inside a stream costs the frames that it hits, and the DecodeLog counts
them. The same file gives the same frames at the same ticks in every run. Pictures are those that a player shows:
upright (display.py), without combs (fields.py) and margins (cropping.py), HDR as SDR (tone_mapping.py). Knows nothing
of faces, shots or stores.
"""
