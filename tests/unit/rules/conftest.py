"""One sound rule as plain data, and a way to write it with something changed."""

import copy

import pytest
import yaml

SOUND = {
    "id": "volume.output-burst",
    "about": "An address takes far more output than this host's clients do.",
    "family": "volume",
    "kind": "client",
    "maturity": "stable",
    "weight": 30,
    "half_life": "30m",
    "when": [
        {
            "feature": "output_tokens_1m",
            "above": {"quantile": 0.999, "times": 4, "floor": 20000},
        },
        {"feature": "requests_1h", "above": 20},
    ],
    "hits_also": "A nightly batch.",
    "runbook": "Ask the owner of the account.",
    "blind_spots": "Slow harvest.",
    "tests": [
        {
            "name": "long answers at ten a second",
            "input": [
                {
                    "every": "100ms",
                    "count": 300,
                    "record": {"client": "203.0.113.7", "output_tokens": 4000},
                }
            ],
            "fires": "203.0.113.7/32",
            "by": "60s",
        },
        {
            "name": "a person who asks every minute",
            "input": [
                {
                    "every": "1m",
                    "count": 30,
                    "record": {"client": "203.0.113.8", "output_tokens": 900},
                }
            ],
        },
    ],
}


class _Dumper(yaml.SafeDumper):
    """Writes what is shared twice, since rule files have no anchors."""

    def ignore_aliases(self, data):
        return True


@pytest.fixture
def write_rule(tmp_path):
    """Return a function that writes the sound rule, changed at a path, and returns its file."""

    def write(path=(), value=None, *, file="volume/output-burst.yaml"):
        rule = copy.deepcopy(SOUND)
        if path:
            *parents, last = path
            place = rule
            for key in parents:
                place = place[key]
            if value is None:
                del place[last]
            else:
                place[last] = value
        target = tmp_path / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(yaml.dump(rule, Dumper=_Dumper, sort_keys=False))
        return target

    return write
