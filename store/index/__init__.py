"""One video's index: index.db with its checksum, and vectors.faiss, which is derived from it.

Does: the tables and how older ones become newer; writes rows while a video is read; reads, checks and changes a
complete index; takes in those of other stores. Owes: an error of ours for anything that lies in a file, damage with
the command that repairs it; an index that is changed is as it was or as it is to be; IndexVersion tells whether two
readings are of the same content.
Does not know: any other video, how faces are found, and what a query is.
"""
