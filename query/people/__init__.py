"""Who is searched for: photos, the faces in them, and what an engine's similarities are worth."""
