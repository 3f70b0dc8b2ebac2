"""A fast log, rotated by logrotate itself, and a reader that is killed again and again.

`EXCISE_ROTATION_PAUSE_S` sets the seconds between rotations (0.15); `make bench ARGS=rotation`
takes its time and prints the figures.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAUSE_S = os.environ.get("EXCISE_ROTATION_PAUSE_S", "0.15")

pytestmark = pytest.mark.skipif(
    not Path("/usr/sbin/logrotate").exists(), reason="takes logrotate (Debian package of that name)"
)


def rotate(method):
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.rotation", "run", method, "--pause", PAUSE_S],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    outcome = json.loads(done.stdout)
    assert 20 == outcome["rotations"]
    assert outcome["kills"] > 0
    assert outcome["written"] > 5000
    return outcome


def test_no_line_is_lost_or_doubled_when_the_log_is_renamed():
    done = rotate("rename")

    assert (0, 0, 0, 0) == (done["doubled"], done["missed"], done["gone"], done["breaks"])
    assert done["written"] == done["read"]


def test_no_line_that_logrotate_kept_is_lost_or_doubled_when_the_log_is_emptied_in_place():
    done = rotate("copytruncate")

    assert (0, 0) == (done["doubled"], done["missed"])
    assert done["written"] == done["read"] + done["gone"]
