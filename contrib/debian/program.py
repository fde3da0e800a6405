#!/usr/bin/python3
"""Starts lastcall from its own folder; packages of the distribution, and plugins among them, are found behind it."""

import sys


def start() -> int:
    """Run the command line; returns the exit code."""
    sys.path[0] = "/usr/lib/lastcall"  # instead of the folder in which this file lies
    from lastcall.cli.main import main

    return main()


sys.exit(start())
