"""Indexes many videos at once: one Job a video in, events out, through the one interface `Runner`.

`LocalRunner` runs jobs in worker processes on this machine, `ClusterRunner` on the nodes of a Ray cluster (`node` is
what a node does, `staging` copies videos that have an address). Both guarantee that a video which crashes its decoder,
hangs or fills the memory fails alone, that every job ends with one Outcome, and that no worker outlives the caller.
`watch` finds videos that come into a folder. Knows nothing of how a video is indexed, nor of how events are shown.
"""
