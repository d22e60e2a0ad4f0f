"""Holds the dual encoder and its parts."""
