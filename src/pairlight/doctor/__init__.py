"""Looks over captioned photos: broken files, duplicates, leaks, captions on the wrong photo."""
