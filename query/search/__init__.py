"""References against indexes: which tracklets match, and which just missed. Decodes nothing."""
