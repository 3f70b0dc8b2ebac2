"""YAML text → plain data with the place of everything in it. The only reader of YAML.

A small, strict YAML: one document, text keys, no duplicate keys, no anchors, no tags of its own.
Scalars follow the core schema of YAML 1.2 (`on`, `yes`, `12:30` and dates stay text), and whole
numbers may be grouped with `_`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from excise.errors import InvalidError, Mark
from excise.model.document import Document, KeyPath, Plain

MAX_DEPTH = 50
_NULL = re.compile(r"~|null|")
_BOOL = re.compile(r"true|false")
_INT = re.compile(r"[-+]?[0-9][0-9_]{0,17}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


class _Loader(yaml.SafeLoader):
    """Composes nodes only, and refuses what could grow without bound."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 (PyYAML's signature)
        event = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's parser has no types
        if problem := _refused(event, self.depth):
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refused(event: yaml.Event, depth: int) -> str:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        return "anchors and aliases are not supported, write the value out"
    if getattr(event, "tag", None):
        return "tags are not supported"
    return "nested too deeply" if depth >= MAX_DEPTH else ""


@dataclass(slots=True)
class _Builder:
    """Walks composed nodes; `marks` and `keys` fill up on the way."""

    file: str
    marks: dict[KeyPath, Mark] = field(default_factory=dict)
    keys: dict[KeyPath, Mark] = field(default_factory=dict)

    def mark(self, at: yaml.Mark) -> Mark:
        return Mark(self.file, at.line + 1, at.column + 1)

    def build(self, node: yaml.Node, path: KeyPath) -> Plain:
        self.marks[path] = self.mark(node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        return _scalar(node)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Plain]:
        built: dict[str, Plain] = {}
        for key, value in node.value:
            here = self.mark(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                raise InvalidError("a key must be text", here)
            name = str(key.value)
            if name in built:
                first = self.keys[(*path, name)]
                raise InvalidError(f"key {name!r} is given twice", here, f"first at {first}")
            self.keys[(*path, name)] = here
            built[name] = self.build(value, (*path, name))
        return built


def _scalar(node: yaml.Node) -> Plain:
    text = str(node.value)
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if not plain:
        return text
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text == "true"
    if _INT.fullmatch(text):
        return int(text.replace("_", ""))
    return float(text.replace("_", "")) if _FLOAT.fullmatch(text) else text


def read_yaml(text: str, file: str) -> Document:
    """Return the one document in `text`; `file` is what marks call it.

    Raises InvalidError, with its place, for text that is not YAML or not this small YAML.
    An empty text is an empty mapping.
    """
    try:
        node = _compose(text)
    except yaml.MarkedYAMLError as error:
        raise _located(error, file) from error
    except yaml.reader.ReaderError as error:
        raise _unreadable(text, error, file) from error
    builder = _Builder(file)
    if node is None:
        return Document(file, {}, {(): Mark(file, 1, 1)}, {})
    return Document(file, builder.build(node, ()), builder.marks, builder.keys)


def read_yaml_file(path: Path, file: str | None = None) -> Document:
    """Read a file as UTF-8 YAML. Raises InvalidError, also where it cannot be opened."""
    name = file or str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidError(f"cannot be read: {error.strerror}", Mark(name, 1, 1)) from error
    try:
        return read_yaml(raw.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        column = len(before) - (before.rfind(b"\n") + 1) + 1
        mark = Mark(name, before.count(b"\n") + 1, column)
        raise InvalidError("is not UTF-8 text", mark) from error


def _compose(text: str) -> yaml.Node | None:
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


def _located(error: yaml.MarkedYAMLError, file: str) -> InvalidError:
    at = error.problem_mark or error.context_mark
    mark = Mark(file, at.line + 1, at.column + 1) if at else Mark(file, 1, 1)
    return InvalidError(f"not valid YAML: {error.problem}", mark, error.context or "")


def _unreadable(text: str, error: yaml.reader.ReaderError, file: str) -> InvalidError:
    before = text[: error.position]
    mark = Mark(file, before.count("\n") + 1, len(before) - before.rfind("\n"))
    found = text[error.position : error.position + 1]
    return InvalidError(f"holds a character that YAML does not allow: {found!r}", mark)
