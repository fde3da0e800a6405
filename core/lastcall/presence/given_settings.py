"""Settings that come key by key: what a plugin knows of a guest. A wrong one costs only itself."""

from collections.abc import Mapping
from typing import Any, cast

from lastcall.config.guest_settings import GuestPolicy
from lastcall.config.nodes import MapNode, Mark, Node, node_of
from lastcall.config.validation import validate


def read_given(model: type[GuestPolicy], source: str, given: Mapping[str, Any]) -> tuple[GuestPolicy | None, list[str]]:
    """The policy of those that are right, and what is wrong with the others; `given` are plain values, in bounds.

    Validators of plugins have a say in it: whatever they raise is an error of what they judged. They may hang.
    """
    mark, wrong = Mark(source), list[str]()
    good = dict[str, Node]()
    for key, value in given.items():
        node = node_of(value, mark)
        _, problems = validate(model, MapNode(mark, {key: node}, {key: mark}))
        wrong += [problem.message for _, problem in problems]
        if not problems:
            good[key] = node
    policy, problems = validate(model, MapNode(mark, good, dict.fromkeys(good, mark)))
    wrong += [problem.message for _, problem in problems]
    return cast("GuestPolicy | None", policy), wrong
