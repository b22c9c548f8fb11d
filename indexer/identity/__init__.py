"""Who is who inside a video: exemplars, tracks that hold two people, clusters, another recogniser."""
