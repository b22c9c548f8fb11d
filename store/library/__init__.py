"""Many indexes as one: what is in a store, finding a video in it, and the clusters of all videos to be searched.

It owes its caller: opening a catalogue changes nothing; a video is found by folder, path, content or name without
opening every index; `searchable` returns what the indexes hold at that moment, however old library.vectors is, and
nothing of a replaced or removed index is written to that file. The file is derived and may be deleted.

It does not know photos, thresholds or how a video is indexed.
"""
