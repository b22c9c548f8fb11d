"""Finds shot boundaries in frames that are pushed one by one. Knows nothing of faces."""
