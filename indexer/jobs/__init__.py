"""Indexes many videos, each in a worker process. Knows nothing of how a video is indexed."""
