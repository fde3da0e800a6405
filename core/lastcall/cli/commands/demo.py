"""`lastcall demo`."""

import click

from lastcall.cli.commands.demo_world import run_demo


@click.command("demo", short_help="Show plan, shutdown and restore on pretended guests.")
def demo_command() -> int:
    """Show plan, shutdown and restore on half a dozen pretended guests.

    Everything happens in this process, with libvirt's test driver and a temporary folder: no daemon is needed, no real
    guest is touched.
    """
    return run_demo(click.echo)
