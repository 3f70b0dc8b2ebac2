"""A configuration or rule file as plain data with the place of everything in it.

Reading gathers problems in `Node.problems` instead of stopping at the first, so that a person
sees all of them at once. A reader is a function from a `Node` to a value; it raises InvalidError
where the value cannot be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias, TypeVar, Union

from excise.errors import InvalidError, Mark

Plain: TypeAlias = Union[bool, int, float, str, list["Plain"], dict[str, "Plain"], None]  # noqa: UP007 (recursive: needs a string inside)
KeyPath: TypeAlias = tuple[str | int, ...]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Document:
    """Plain data; `marks` say where each value begins, `keys` where each mapping key stands."""

    file: str
    data: Plain
    marks: Mapping[KeyPath, Mark]
    keys: Mapping[KeyPath, Mark]

    def root(self) -> Node:
        """Return the whole document as a node with no problems yet."""
        return Node(self, (), self.data)


@dataclass(frozen=True, slots=True)
class Node:
    """A value inside a document. Nodes of one reading share their list of problems."""

    document: Document
    path: KeyPath
    value: Plain
    problems: list[InvalidError] = field(default_factory=list)

    @property
    def mark(self) -> Mark:
        """Where the value begins, or its nearest parent that has a place."""
        for depth in range(len(self.path), -1, -1):
            if mark := self.document.marks.get(self.path[:depth]):
                return mark
        return Mark(self.document.file, 1, 1)

    @property
    def key_mark(self) -> Mark:
        """Where the key stands under which the value is found."""
        return self.document.keys.get(self.path) or self.mark

    def child(self, key: str | int, value: Plain) -> Node:
        """Return the value found under `key`."""
        return Node(self.document, (*self.path, key), value, self.problems)

    def seek(self, path: Iterable[str | int]) -> Node:
        """Return the node at a path below this one, or the deepest that exists on the way."""
        node = self
        for key in path:
            value = node.value
            if isinstance(value, dict) and isinstance(key, str) and key in value:
                node = node.child(key, value[key])
                continue
            if not isinstance(value, list) or not isinstance(key, int) or key >= len(value):
                break
            node = node.child(key, value[key])
        return node

    def items(self) -> Iterator[Node]:
        """Yield the nodes of a list. Raises InvalidError for anything else."""
        if not isinstance(self.value, list):
            raise self.error(f"must be a list, found {describe(self.value)}")
        for index, value in enumerate(self.value):
            yield self.child(index, value)

    def error(self, message: str, hint: str = "") -> InvalidError:
        """Return an error at this place, named after the key it belongs to."""
        names = [key for key in self.path if isinstance(key, str)]
        subject = f"{names[-1]} " if names else ""
        return InvalidError(f"{subject}{message}", self.mark, hint)


class Fields:
    """Takes the fields of one mapping by name; every problem lands in the node's list."""

    def __init__(self, node: Node, known: Iterable[str]) -> None:
        self._node = node
        self._entries: dict[str, Plain] = {}
        #: keys that are there under a wrong spelling, about which there is a problem already
        self._misspelt: set[str | None] = set()
        if not isinstance(node.value, dict):
            node.problems.append(
                node.error(f"must be a mapping, found {describe(node.value)}", f"of {names(known)}")
            )
            return
        self._entries = node.value
        for key in node.value:
            if key not in known:
                self._misspelt.add(closest(key, known))
                node.problems.append(unknown("key", node.child(key, None).key_mark, key, known))

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def node(self, key: str) -> Node:
        """Return the node of a field that is present."""
        return self._node.child(key, self._entries[key])

    def get(self, key: str, read: Callable[[Node], T], default: T) -> T:
        """Return the field, or `default` where it is absent or wrong."""
        if key not in self._entries:
            return default
        try:
            return read(self.node(key))
        except InvalidError as error:
            self._node.problems.append(error)
            return default

    def need(self, key: str, read: Callable[[Node], T], blank: T) -> T:
        """Return the field; `blank` stands in, beside a problem, where it is absent or wrong."""
        absent = key not in self._entries and key not in self._misspelt
        if absent and isinstance(self._node.value, dict):
            self._node.problems.append(
                InvalidError(f"key {key!r} is missing", self._node.mark, "it has no default")
            )
        return self.get(key, read, blank)


def each(read: Callable[[Node], T]) -> Callable[[Node], tuple[T, ...]]:
    """Return a reader of lists: every item that can be read, problems for the others."""

    def read_all(node: Node) -> tuple[T, ...]:
        found: list[T] = []
        for item in node.items():
            try:
                found.append(read(item))
            except InvalidError as error:
                node.problems.append(error)
        return tuple(found)

    return read_all


def in_order(problems: Iterable[InvalidError]) -> list[InvalidError]:
    """Return problems as they follow in the file."""
    return sorted(problems, key=lambda p: (p.mark.line, p.mark.column) if p.mark else (0, 0))


def unknown(what: str, mark: Mark, name: str, known: Iterable[str]) -> InvalidError:
    """Return the error for a name that does not exist, with the closest one that does."""
    close = closest(name, known)
    hint = f"did you mean {close!r}?" if close else f"known: {names(known)}"
    return InvalidError(f"unknown {what} {name!r}", mark, hint)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant, None if none is near."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.6)), None)


def names(known: Iterable[str]) -> str:
    """Return names as a person lists them."""
    return ", ".join(known)


def describe(value: Plain) -> str:
    """Return what was found, in the words of the file."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "a mapping"
    return repr(value)
