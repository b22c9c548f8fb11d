"""Many indexes as one: what is in a store, finding a video in it, the clusters of all videos, and whose they are.

It owes its caller: opening a catalogue changes nothing; a video is found by folder, path, content or name without
opening every index; `searchable` searches what the indexes hold at that moment, however old library.vectors is, and
nothing of a replaced or removed index is written to that file. The file is derived and may be deleted.

People follow from decisions, which only `forget` erases, and from similarity, which may be derived anew. A decision
that was made is in library.db whole, whoever is killed or writes at the same time; a library.db that cannot be used
raises, and is neither changed nor deleted.

It does not know photos, thresholds or how a video is indexed.
"""
