"""Trains a dual encoder."""
