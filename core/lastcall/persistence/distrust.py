"""Whose word a list of guests is: whoever writes one could have programs run as root, by the URIs that are opened."""

import os
import re
from pathlib import Path

from lastcall.formats.reading import Untrusted, open_trusted

# A daemon of this host by its usual socket. Any other URI may run a program: `qemu+ssh://…?command=…` does.
_LOCAL_URI = re.compile(r"[a-z0-9]+:///[a-z]*")


def is_local(uri: str) -> bool:
    """Whether to open it leads to a daemon of this host, and to nothing else."""
    return bool(_LOCAL_URI.fullmatch(uri))


def distrusted(path: Path) -> Untrusted | None:
    """Why somebody else could have written what is there, if so. Raises OSError."""
    try:
        # A link of root's to a larger disk is as good as the folder itself.
        os.close(open_trusted(Path(os.path.realpath(path))))
    except Untrusted as error:
        return error
    return None
