"""The narrowest prefix, against every prefix tried one by one."""

import ipaddress

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from excise.decide.prefixes import FILLED, FIRST, LEAST_SITES, SITE, STEP, Guilty, cut
from excise.model.settings import Governor, Policy

LIMITS = Governor(min_prefix_v4=18, min_prefix_v6=40)
POLICY = Policy(subnet_members=3, subnet_guilty=0.75)
V4 = int(ipaddress.IPv4Address("198.51.0.0"))
V6 = int(ipaddress.IPv6Address("2001:db8::")) >> 64
#: near each other, and some far
V4_BITS = st.one_of(
    st.integers(0, 20).map(lambda n: V4 + n),
    st.integers(0, 60).map(lambda n: V4 + n * 256 // 4),
    st.integers(0, 2**14 - 1).map(lambda n: V4 + n),
)
V6_BITS = st.one_of(
    st.integers(0, 40).map(lambda n: V6 + n), st.integers(0, 2**24 - 1).map(lambda n: V6 + n)
)
PEOPLE = st.lists(V4_BITS, min_size=1, max_size=50, unique=True).map(lambda bits: (4, bits)) | (
    st.lists(V6_BITS, min_size=1, max_size=50, unique=True).map(lambda bits: (6, bits))
)


def brute_force(version, bits, guilty, honest_of):
    best, most = None, 0
    widest = LIMITS.min_prefix_v4 if version == 4 else LIMITS.min_prefix_v6
    for length in range(FIRST[version], widest - 1, -STEP[version]):
        prefix = cut(version, bits, length)
        inside = [g for g in guilty if cut(version, g, length) == prefix]
        sites = {cut(version, g, SITE[version]) for g in inside}
        if len(inside) < POLICY.subnet_members:
            continue
        if length < SITE[version]:
            room = 2 ** (SITE[version] - length)
            if len(sites) < LEAST_SITES or len(sites) < FILLED * room:
                continue
        elif len(inside) == most:
            continue  # wider and no better
        if honest_of(prefix) <= 1 - POLICY.subnet_guilty:
            best, most = prefix, len(inside)
    return best


def shares(version, guilty, honest):
    """Return the honest share of a prefix's clients by counting them."""

    def share(prefix):
        bad = sum(cut(version, g, prefix.length) == prefix for g in guilty)
        good = sum(cut(version, h, prefix.length) == prefix for h in honest)
        return good / (bad + good) if bad + good else 0.0

    return share


@hypothesis_settings(max_examples=150)
@given(people=PEOPLE, data=st.data())
def test_the_narrowest_prefix_is_the_one_found_by_trying_all(people, data):
    version, everybody = people
    split = data.draw(st.integers(1, len(everybody)))
    guilty, honest = everybody[:split], everybody[split:]
    kept = Guilty()
    for bits in guilty:
        kept.add(version, bits, LIMITS)
    share = shares(version, guilty, honest)
    for bits in guilty[:5]:
        expected = brute_force(version, bits, guilty, share)
        assert expected == kept.narrowest(version, bits, POLICY, LIMITS, share)


@hypothesis_settings(max_examples=100)
@given(people=PEOPLE, data=st.data())
def test_guilt_taken_back_leaves_no_trace(people, data):
    version, everybody = people
    gone = data.draw(st.sets(st.sampled_from(everybody)))
    kept, never = Guilty(), Guilty()
    for bits in everybody:
        kept.add(version, bits, LIMITS)
        if bits not in gone:
            never.add(version, bits, LIMITS)
    for bits in gone:
        kept.discard(version, bits, LIMITS)
    assert never.all() == kept.all()
    assert dict(never.members) == dict(kept.members)
    assert dict(never.sites) == dict(kept.sites)


@hypothesis_settings(max_examples=100)
@given(people=PEOPLE)
def test_no_prefix_is_wider_than_the_governor_lets_it_be(people):
    version, guilty = people
    kept = Guilty()
    for bits in guilty:
        kept.add(version, bits, LIMITS)
    found = kept.narrowest(version, guilty[0], POLICY, LIMITS, lambda _: 0.0)
    if found is not None:
        least = LIMITS.min_prefix_v4 if version == 4 else LIMITS.min_prefix_v6
        assert found.length >= least
        assert found == cut(version, guilty[0], found.length)
