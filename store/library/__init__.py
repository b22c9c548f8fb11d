"""Many indexes as one: what is in a store, and finding a video in it."""
