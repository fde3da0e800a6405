#!/usr/bin/python3
"""Starts lastcall from its own folder; packages of the distribution, and plugins among them, are found behind it."""

import sys

sys.path[0] = "/usr/lib/lastcall"  # instead of the folder in which this file lies

from lastcall.cli.main import main  # noqa: E402

sys.exit(main())
