"""Serves a store over HTTP: a REST interface under /api/v1 and a page to search with at /."""
