"""Runs the command line as `python -m pairlight`."""

from pairlight.cli.main import main

main()
