"""Matches become a data set: short pieces of one face at a fixed size and rate, with sound, landmarks and a manifest.

build.py is the story: the frames of a video's matches are decoded once to measure the faces, pieces.py decides by that
which frames become which pieces, and they are decoded again to be written (piece_file.py). It owes its caller that each
frame of a piece passes every filter and shows one tracklet, that a second run goes on where the first was stopped and
changes nothing that is complete, and that the same question over the same indexes gives the same files. It takes the
matches of query/search and does not know how they are found, nor the terminal.
"""
