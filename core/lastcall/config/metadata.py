"""Settings that a guest carries in its own domain XML, so that they travel with it.

    <metadata>
      <lastcall:guest xmlns:lastcall="https://lastcall.dev/xmlns/guest/1">
        <lastcall:depends_on>[storage]</lastcall:depends_on>
        <lastcall:timeout>5min</lastcall:timeout>
      </lastcall:guest>
    </metadata>

One element per key; its text is what would stand behind the key in the configuration file. `virsh metadata GUEST
https://lastcall.dev/xmlns/guest/1` reads it. Fields that could run a command are never taken from there: whoever may
edit a guest is not always allowed to run programs on the host. How much may stand there is bounded for the same reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast
from xml.etree import ElementTree as ET

from pydantic import BaseModel

from lastcall.api.guests import Guest
from lastcall.config.guest_settings import GuestPolicy, LadderStep
from lastcall.config.nodes import ListNode, MapNode, Mark, Node
from lastcall.config.reader import Reader, YamlBounds
from lastcall.config.validation import model_below, validate
from lastcall.errors import Problem
from lastcall.formats.nearest import did_you_mean
from lastcall.options import BY_METADATA

LONGEST = 4096  # bytes of the text of a key
MOST_KEYS = 100
MOST_WRONG = 10  # problems of a key that are told
BOUNDS = YamlBounds(values=1000, depth=8, aliases=False)
NAMESPACE = "https://lastcall.dev/xmlns/guest/1"
PREFIX = "lastcall"


def settable(model: type[BaseModel]) -> list[str]:
    """The keys of a model that metadata may set: those marked for it, and sections that have such a key."""
    return [name for name in model.model_fields if _marked(model, name) or _section(model, name)]


def read_metadata(
    model: type[GuestPolicy], guest: Guest, texts: Mapping[str, str]
) -> tuple[GuestPolicy | None, list[Problem]]:
    """The settings that a guest's metadata gives, key by key, so that a wrong one costs only itself."""
    good, problems = MapNode(Mark(f"metadata of {guest.name}")), list[Problem]()
    if len(texts) > MOST_KEYS:
        message = f"more than {MOST_KEYS} keys; the others are not looked at"
        problems.append(Problem(what="metadata", where=guest.name, message=message, remedy="remove what nobody uses"))
    for key, text in islice(texts.items(), MOST_KEYS):
        node, found = _checked(model, key, text, good.mark)
        problems += [_about(guest, message, remedy) for message, remedy in _few(key, found)]
        if not found:
            good.items[key], good.marks[key] = node, good.mark
    if not good.items:
        return None, problems
    policy, _ = validate(model, good)
    return cast("GuestPolicy | None", policy), problems


def _checked(model: type[GuestPolicy], key: str, text: str, mark: Mark) -> tuple[Node, list[tuple[str, str]]]:
    if len(text.encode("utf-8", "surrogatepass")) > LONGEST:
        return MapNode(mark), [(f"{key}: more than {LONGEST} bytes", "set it in the configuration file")]
    known = settable(model)
    if key not in known:
        # Before its text is read: a hundred of those would be the time of every other guest.
        what = "cannot be set by metadata" if key in model.model_fields else "unknown key"
        hint = did_you_mean(key, known) if key not in model.model_fields else ""
        return MapNode(mark), [(f"{key}: {what}{hint}", f"metadata may set: {', '.join(known)}")]
    reader = Reader(mark.file, BOUNDS)
    node = reader.read(text)
    if reader.problems:
        remedy = "its text is YAML"
        return node, [(f"{key}: {problem.message}", problem.remedy or remedy) for _, problem in reader.problems]
    _, found = validate(model, MapNode(mark, {key: node}, {key: mark}))
    if found:
        return node, [(problem.message, problem.remedy) for _, problem in found]
    # Only now: what has the wrong form cannot be searched for keys that are not for metadata.
    forbidden = list(_forbidden(model, key, node))
    return node, [(f"{path}: cannot be set by metadata", "set it in the configuration file") for path in forbidden]


def _few(key: str, found: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
    """The first of a key's problems, and how many more there are: the key costs one look, however wrong it is."""
    more = len(found) - MOST_WRONG
    return found if more <= 0 else [*found[:MOST_WRONG], (f"{key}: and {more} more wrong values", found[0][1])]


def _forbidden(model: type[BaseModel], key: str, node: Node) -> Iterator[str]:
    """Paths of what is given but not marked, below a section or in the options of a ladder's steps."""
    below = _section(model, key)
    if below is not None and isinstance(node, MapNode):
        yield from (f"{key}.{name}" for name in node.items if name not in settable(below))
    ladder = model_below(model, (key, 0))
    if isinstance(ladder, type) and issubclass(ladder, LadderStep) and isinstance(node, ListNode):
        steps = [(index, step) for index, step in enumerate(node.items) if isinstance(step, MapNode)]
        for index, step in steps:
            for method, options in step.items.items():
                kind = model_below(ladder, (method,))
                known = settable(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
                given = options.items if isinstance(options, MapNode) else {}
                yield from (f"{key}[{index}].{method}.{name}" for name in given if name not in known)


def _marked(model: type[BaseModel], name: str) -> bool:
    extra = model.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and BY_METADATA.items() <= extra.items()


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    below: Any = model_below(model, (name,))
    is_section = isinstance(below, type) and issubclass(below, BaseModel) and bool(settable(below))
    return cast("type[BaseModel]", below) if is_section else None


def _about(guest: Guest, message: str, remedy: str) -> Problem:
    return Problem(what="metadata", where=guest.name, message=f"{message}; it is not used", remedy=remedy)


def parse_element(xml: str | None) -> dict[str, str]:
    """The keys and texts of our element as `virsh metadata` shows it. Raises ParseError."""
    return texts_of(ET.fromstring(xml)) if xml else {}  # noqa: S314  written by libvirt


def texts_of(element: ET.Element) -> dict[str, str]:
    """The keys and texts below our element, whatever prefixes libvirt gave them."""
    return {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in element}


def cut_down(texts: Mapping[str, str]) -> dict[str, str]:
    """As much of them as is looked at, and a little more, by which it is seen that it is too much."""
    return {key: text[: LONGEST + 1] for key, text in islice(texts.items(), MOST_KEYS + 1)}


def render(texts: Mapping[str, str]) -> str:
    """Our element as `virDomainSetMetadata` takes it; libvirt adds the namespace."""
    root = ET.Element("guest")
    for key, text in texts.items():
        ET.SubElement(root, key).text = text
    return ET.tostring(root, encoding="unicode")
