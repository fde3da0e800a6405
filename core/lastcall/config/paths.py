"""Where lastcall keeps its things, and if it brings guests back, without judging the rest of the configuration.

For commands that only look at files (`status`, `report`, `forget`, `announce`, `stamp`): to validate everything takes
the models of pydantic and every plugin, which is most of what such a command would cost.
"""

from pathlib import Path

from lastcall.config.files import Tree, read_tree
from lastcall.config.nodes import ListNode, MapNode, Scalar
from lastcall.errors import ConfigDenied
from lastcall.formats.values import value

# Once more by name: to import the models of these sections is what this module is there to avoid.
SECTIONS = frozenset(
    {
        "connections", "shutdown", "restore", "migrate", "hooks", "runs", "paths", "plugins", "units", "fleet_lock",
        "defaults", "guests",
    }
)  # fmt: skip
POLICIES = ("was-running", "none")
CONNECTION = "qemu:///system"
STATE, RUN, HOOKS = Path("/var/lib/lastcall"), Path("/run/lastcall"), Path("/etc/lastcall/hooks.d")


@value
class Places:
    """The section `paths`. `brings_back`: what was running is to run again, as `restore.policy` says.

    `connections`: their URIs, as far as they are plain, without those that are watched. `files`: those that the
    configuration was read from.
    """

    state: Path = STATE
    run: Path = RUN
    hooks: Path = HOOKS
    brings_back: bool = True
    connections: tuple[str, ...] = (CONNECTION,)
    files: tuple[Path, ...] = ()


def find_places(given: Path | None = None, *, sure: bool = False) -> Places | None:
    """The places; None where somebody has to look closer: the YAML is broken, or says strange things.

    `sure`: also where the file may have an error anywhere else.
    """
    try:
        tree = read_tree(given)
        return None if sure and not nothing_else(tree) else places_of(tree)
    except Exception:  # noqa: BLE001  a host stop asks this first, and whoever looks closer says what it is
        return None


def is_denied() -> bool:
    """Whether the usual configuration is there, and not for this user to read."""
    try:
        read_tree()
    except ConfigDenied:
        return True
    except Exception:  # noqa: BLE001  whoever looks closer says what it is
        return False
    return False


def places_of(tree: Tree) -> Places | None:
    """The places that a tree names, if that is plain."""
    section, policy = tree.node.items.get("paths", MapNode(tree.node.mark)), _policy(tree)
    strange = tree.problems or not tree.node.items.keys() <= SECTIONS
    if strange or policy not in POLICIES or not isinstance(section, MapNode):
        return None
    texts = {key: node.value for key, node in section.items.items() if isinstance(node, Scalar)}
    if texts.keys() != section.items.keys() or not texts.keys() <= {"state", "run", "hooks"}:
        return None
    paths = {key: Path(text) for key, text in texts.items() if isinstance(text, str)}
    if paths.keys() != texts.keys() or not all(path.is_absolute() for path in paths.values()):
        return None
    return Places(**paths, brings_back=policy != "none", connections=_uris(tree), files=tuple(tree.texts))


def nothing_else(tree: Tree) -> bool:
    """Whether a tree whose places are plain says nothing else that could be wrong: but for them no more than whether
    guests come back, and a list of URIs.
    """
    given, restore = tree.node.items.get("connections"), tree.node.items.get("restore")
    uris = given.items if isinstance(given, ListNode) else [] if given else [Scalar(tree.node.mark, "the default")]
    return (
        tree.node.items.keys() <= {"connections", "paths", "restore"}
        and bool(uris)
        and all(isinstance(uri, Scalar) and isinstance(uri.value, str) and uri.value for uri in uris)
        and (not isinstance(restore, MapNode) or restore.items.keys() <= {"policy"})
    )


def _uris(tree: Tree) -> tuple[str, ...]:
    """The URIs of `connections`; none where that is not plain, which must not cost a host stop its places."""
    given = tree.node.items.get("connections")
    if given is None:
        return (CONNECTION,)
    ours = [one for one in given.items if not _is_watched(one)] if isinstance(given, ListNode) else []
    found = [_uri(one) for one in ours]
    uris = tuple(dict.fromkeys(uri for uri in found if uri))
    return uris if all(found) else ()


def _is_watched(node: object) -> bool:
    """Whether it is a neighbour's, with whose guests nobody has to do who looks at those of this host."""
    watch = node.items.get("watch") if isinstance(node, MapNode) else None
    return isinstance(watch, Scalar) and watch.value is True


def _uri(node: object) -> str | None:
    one = node.items.get("uri") if isinstance(node, MapNode) else node
    return one.value if isinstance(one, Scalar) and isinstance(one.value, str) else None


def _policy(tree: Tree) -> object:
    """`restore.policy` as it is written, or its default."""
    section = tree.node.items.get("restore", MapNode(tree.node.mark))
    if not isinstance(section, MapNode):
        return None
    node = section.items.get("policy", Scalar(section.mark, POLICIES[0]))
    return node.value if isinstance(node, Scalar) else None
