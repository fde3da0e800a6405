"""Whose a guest is, by its `manage`. That has three answers: by its truth a watched guest would be taken for ours."""

from lastcall.config.guest_settings import GuestPolicy


def is_ours(policy: GuestPolicy) -> bool:
    """Whether lastcall stops and starts it."""
    return policy.manage is True


def is_watched(policy: GuestPolicy) -> bool:
    """Whether it is somebody else's, and waited for."""
    return policy.manage == "watch"
