"""A full copy of a video in which faces are unrecognisable: every frame and all sound, faces blurred or covered.

blur.py is the story: selection.py says whose faces of the index are meant, search.py searches every frame anew and
follow.py follows each face into the frames in which it is not detected, identity.py says by the index whose face it is,
hidden.py decides which are covered, covers.py where and what is doubtful, paint.py covers them in a picture, copy.py
writes the file.

It is a room of its own beside query/clips, because it owes the opposite: a clip leaves out what is not surely a face,
a copy covers what may be one. So it works on videos that are not indexed, and trusts an index only to say who is who,
where no two faces are in one place.
It does not know how people are found, nor the terminal; and it never claims that somebody cannot be recognised.
"""
