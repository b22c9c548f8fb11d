"""Reads video files: what a file is, its frames in display order, what was lost. Knows nothing of faces."""
