"""`lastcall config`: check, show, schema, sample."""

import json

import click

from lastcall.cli import Invocation
from lastcall.commands.options import json_option
from lastcall.errors import ExitCode
from lastcall.loading import load
from lastcall.report.text import problem_line


@click.group("config")
def command() -> None:
    """Look at the configuration."""


@command.command("check")
@click.pass_obj
def check(invocation: Invocation) -> int:
    """Validate the configuration, plugin sections included; shows every error at once.

    Exit code 6 when there is one.
    """
    loaded = load(invocation.config)
    for problem in loaded.plugins.registry.problems:
        click.echo(problem_line(problem), err=True)
    click.echo("valid: " + (", ".join(map(str, loaded.files)) or "no file, built-in defaults"))
    return ExitCode.OK


@command.command("show")
@json_option
@click.pass_obj
def show(invocation: Invocation, *, as_json: bool) -> int:
    """Print the configuration in force, defaults included."""
    import yaml

    shown = load(invocation.config).settings.model_dump(mode="json", exclude_none=False)
    click.echo(json.dumps(shown, indent=1) if as_json else yaml.safe_dump(shown, sort_keys=False).rstrip())
    return ExitCode.OK


@command.command("schema")
@click.pass_obj
def schema(invocation: Invocation) -> int:
    """Print the JSON Schema of the configuration with the loaded plugins, for editors."""
    settings = type(load(invocation.config).settings)
    content = {"$schema": "https://json-schema.org/draft/2020-12/schema", **settings.model_json_schema()}
    click.echo(json.dumps(content, indent=1))
    return ExitCode.OK


@command.command("sample")
def sample() -> int:
    """Print a commented configuration to start from; it says what the built-in defaults say."""
    from lastcall.config.sample import SAMPLE

    click.echo(SAMPLE.rstrip())
    return ExitCode.OK
