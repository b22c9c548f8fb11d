"""Who is who inside one video: exemplars, tracks that hold two people, clusters; and re-embedding of a whole index.

Clusters follow from faces and, where these say too little, from clothes and places in the picture. Guarantees:
exemplars and clusters depend only on the tracks and the engine, not on the order in which work ends; two faces of one
frame are never in one cluster; a track without a recognisable face gets no exemplars. Knows nothing of names, photos
or other videos.
"""
