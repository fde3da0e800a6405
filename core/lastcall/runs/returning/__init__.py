"""Whom a restore brings back."""
