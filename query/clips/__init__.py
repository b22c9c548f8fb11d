"""Matches become files: which frames, which crop, cut exactly, with sound."""
