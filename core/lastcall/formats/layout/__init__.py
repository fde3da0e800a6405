"""Text laid out for a screen: columns, names that are cut, lists that are folded, and colour for what matters."""
