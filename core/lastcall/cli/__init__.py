"""The command line: arguments, dispatch, one file a command, and what a person sees."""
