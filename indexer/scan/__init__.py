"""Decides which frames the detector searches, and knows the faces of the frames between."""
