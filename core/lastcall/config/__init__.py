"""The configuration: YAML nodes that keep their places, the models they are validated against, and how both meet."""
