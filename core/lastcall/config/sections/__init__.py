"""Sections of the configuration that need some words of their own: which units a stop needs, who lets a host reboot."""
