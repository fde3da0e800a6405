"""A call to libvirt under way: of which kind it is, and from when it is taken to hang."""

from typing import Literal

from lastcall.formats.values import changing

Need = Literal["quick", "question", "blocking", "plug"]
Place = Literal["quick", "question", "blocking", "spare", "plug", "plug of a hung one"]


@changing
class OpenCall:
    """A call under way: whom it is about, in which place, and the moment from which it hangs (monotonic clock)."""

    uuid: str
    place: Place
    hangs_from: float

    @property
    def counts(self) -> bool:
        """Whether it takes a place that is not for its kind alone."""
        return self.place in {"blocking", "spare"}
