"""Completions for the shells, as click makes them."""

from collections.abc import Iterator

FOLDERS = {
    "bash": "usr/local/share/bash-completion/completions/lastcall",
    "zsh": "usr/local/share/zsh/site-functions/_lastcall",
    "fish": "usr/local/share/fish/vendor_completions.d/lastcall.fish",
}


def completions() -> Iterator[tuple[str, str]]:
    """(path below the root, text) for each shell."""
    import click
    from click import shell_completion

    for shell, path in FOLDERS.items():
        maker = shell_completion.get_completion_class(shell)
        if maker:
            # An empty group will do: the script asks the program at every completion, and so knows what plugins add.
            made = maker(click.Group(), {}, "lastcall", "_LASTCALL_COMPLETE")
            yield path, made.source_template % made.source_vars()
