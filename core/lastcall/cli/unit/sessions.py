"""What a unit leaves alone: the libvirt of somebody's session."""

from dataclasses import replace

from lastcall.presence.session_uris import by_hand_only, is_own_session
from lastcall.runs.loading import Loaded


def without_sessions(loaded: Loaded) -> Loaded:
    """A unit leaves the libvirt of a session alone.

    Waited for, one that has ended held every host stop up to the last resort. One that is started by a unit, as
    qemu:///session of root would be, ends with it, and so would the guests that it has brought back.
    """
    configured = loaded.settings.connections
    kept = tuple(one for one in configured if not is_own_session(one.uri))
    problems = tuple(by_hand_only(one.uri for one in configured))
    settings = loaded.settings.model_copy(update={"connections": kept})
    return replace(loaded, settings=settings, problems=(*loaded.problems, *problems))
