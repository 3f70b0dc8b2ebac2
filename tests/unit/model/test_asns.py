"""Addresses find the range they lie in, and nothing where there is none."""

import numpy as np
import pytest

from excise.model.asns import AsnTable, ranges

TABLE = AsnTable(ranges([(10, 19, 64496), (20, 20, 64497), (40, 49, 64498)]), ranges([]))


@pytest.mark.parametrize(
    ("address", "expected"),
    [(9, 0), (10, 64496), (19, 64496), (20, 64497), (21, 0), (40, 64498), (49, 64498), (50, 0)],
)
def test_a_v4_address_is_of_the_range_around_it(address, expected):
    found = TABLE.lookup(np.array([address], dtype=np.uint64), np.array([4], dtype=np.uint8))

    assert [expected] == found.tolist()


def test_versions_do_not_mix():
    v6 = ranges([((0x20010DB8 << 32), (0x20010DB8 << 32) + 0xFFFF, 64499)])
    table = AsnTable(TABLE.v4, v6)
    networks = np.array([10, 10, 0x20010DB8 << 32, 0], dtype=np.uint64)

    assert [64496, 0, 64499, 0] == table.lookup(networks, np.array([4, 6, 6, 0])).tolist()
