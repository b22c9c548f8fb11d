"""Detections become tracks: one face each, inside one shot. Knows no identity."""
