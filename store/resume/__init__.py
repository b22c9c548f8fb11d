"""The index of a video while it is made.

Does: keeps every finished segment of a video on the disk, in the index.db that becomes the video's index, so that a
run that was interrupted resumes; moves the folder into place once it is complete.

Owes: after an interruption at any moment the next run ends with the rows that one without a stop writes. What cannot
be trusted is thrown away and made again: rows that are torn, of another file, engine, setting or version. Nothing of
it is visible as an index before it is complete.

Does not know: how a video is read, and what its rows mean. The caller holds the video's lock.
"""
