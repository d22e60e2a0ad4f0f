"""Shares the options that every command has."""

import typer

from pairlight.output import Output

__all__ = ["JSON", "QUIET", "Output"]

QUIET = typer.Option(False, "--quiet", "-q", help="Print nothing but errors.")
JSON = typer.Option(
    None, "--json", metavar="FILE", help="Write JSON results to FILE, or to stdout with '-'."
)
