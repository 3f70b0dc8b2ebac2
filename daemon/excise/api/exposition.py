"""Prometheus text format 0.0.4, written. Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LABEL_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


@dataclass(frozen=True, slots=True)
class Metric:
    """A family: name, help, and samples as (labels, value). Counters end in `_total`."""

    name: str
    about: str
    samples: tuple[tuple[Mapping[str, str], float], ...]

    @property
    def kind(self) -> str:
        """Its type in the exposition."""
        return "counter" if self.name.endswith("_total") else "gauge"


def one(name: str, about: str, value: float) -> Metric:
    """Return a family with a single sample and no labels."""
    return Metric(name, about, (({}, value),))


def by_label(name: str, about: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a family with a sample for each value of one label."""
    return Metric(name, about, tuple(({label: key}, value) for key, value in values.items()))


def write(metrics: Iterable[Metric]) -> str:
    """Return the page. A family without samples still shows its help and type."""
    lines: list[str] = []
    for metric in metrics:
        lines.append(f"# HELP {metric.name} {metric.about}")
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines += [f"{metric.name}{_labels(labels)} {_number(v)}" for labels, v in metric.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    pairs = (f'{name}="{value.translate(_LABEL_ESCAPES)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}"


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    return str(int(value)) if float(value).is_integer() else repr(float(value))
