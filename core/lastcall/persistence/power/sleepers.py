"""The guests that were paused or saved because the host sleeps: noted before they are touched, gone when they go on."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

from lastcall.api.guests import Guest, Key
from lastcall.formats.decoding import decoded, from_json
from lastcall.formats.reading import read_text
from lastcall.formats.values import value
from lastcall.persistence.boot_stamp import boot_id
from lastcall.persistence.files import READERS, public_folder, write_whole

Nap = Literal["pause", "save"]
Answer = Literal["pending", "missing", "given"]
LARGEST = 4 << 20  # bytes; a guest takes some 150


@value(kw_only=True)
class Sleeper:
    """A guest, and what was done to it, or is about to be.

    `answer`: that of libvirt to the request. `missing`: there was none in time, and the request may still have its
    effect; `pending`: the sleep has not come to its end, and of none it is known whether it was asked.
    """

    uri: str
    uuid: str
    name: str
    driver: str
    how: Nap
    answer: Answer = "pending"

    @classmethod
    def of(cls, guest: Guest, how: Nap) -> "Sleeper":
        """This guest."""
        return cls(uri=guest.uri, uuid=guest.uuid, name=guest.name, driver=guest.driver, how=how)

    @property
    def key(self) -> Key:
        """What identifies the guest."""
        return (self.uri, self.uuid)

    @property
    def guest(self) -> Guest:
        """The guest as it was: running."""
        return Guest(uri=self.uri, uuid=self.uuid, name=self.name, driver=self.driver)


class SleeperList:
    """`<paths.run>/sleep.json`. A boot ends it: whoever was saved is on the list of guests to restore, too."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sleep.json"

    def read(self) -> dict[Key, Sleeper]:
        """Those of this boot. What cannot be read says nothing."""
        try:
            found: Any = from_json(read_text(self.path, LARGEST))
            if found["boot"] != boot_id():
                return {}
            sleepers = [decoded(Sleeper, one) for one in found["guests"]]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        return {one.key: one for one in sleepers if one.how in get_args(Nap)}

    def write(self, sleepers: Iterable[Sleeper]) -> None:
        """Have these on it, and nobody else. Blocks; raises OSError."""
        kept = [asdict(one) for one in sleepers]
        if not kept:
            self.path.unlink(missing_ok=True)
            return
        public_folder(self.path.parent)
        # No sync: whatever takes this file with it takes the memory of these guests as well.
        write_whole(self.path, json.dumps({"boot": boot_id(), "guests": kept}), sync=False, mode=READERS)
