"""Decides in which frames the detector searches, and gives the faces of every frame.

What it does: frames come in, one FrameView each comes out, in order. Key frames are searched; the faces of the frames
between are interpolated where patch matching confirms them, otherwise regions around them are searched.

What it owes: the same faces as if every frame had been searched. A few stretches of frames in memory, however long
the video. Searched frames run side by side, yet views come in order.

What it does not know: where shots begin, tracks, whose face it is, and the full-size pixels of a frame once its view
is given.
"""
