"""The hooks that plugins are asked about the power by."""
