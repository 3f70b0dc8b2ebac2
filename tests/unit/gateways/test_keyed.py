"""Keyed hashes: equal where they must be, useless without the key."""

import hmac
from hashlib import blake2b, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from excise.decode.base import DecodeContext
from excise.errors import ConfigError
from excise.gateways.keyed import Keyed

KEYED = Keyed(b"a key of the tests")
WORDS = [f"word{n}" for n in range(200)]


def test_an_account_is_the_hmac_that_nginx_makes():
    digest = hmac.new(b"a key of the tests", b"account\0Bearer sk-1", sha256).hexdigest()
    assert digest[:24] == KEYED.account("Bearer sk-1")


def test_without_a_credential_there_is_no_account():
    assert "" == KEYED.account("")


def test_with_the_daemons_key_accounts_are_the_daemons():
    secret = bytes(range(100, 132))
    context = DecodeContext((), secret)
    assert context.account("Bearer sk-1", "200") == Keyed(secret, daemon=True).account(
        "Bearer sk-1"
    )


@pytest.mark.parametrize(
    ("data", "key", "daemon"),
    [
        (b"0123456789abcdef0123\n", b"0123456789abcdef0123", False),
        (b"export default '0123456789abcdef0123';\n", b"0123456789abcdef0123", False),
        (b'export default "0123456789abcdef0123"', b"0123456789abcdef0123", False),
        (b"0123456789abcdef" * 2, b"0123456789abcdef" * 2, False),
        (bytes(range(32)), bytes(range(32)), True),
    ],
)
def test_a_key_file_is_text_nginxs_script_or_the_daemons(tmp_path, data, key, daemon):
    path = tmp_path / "key"
    path.write_bytes(data)
    assert Keyed(key, daemon=daemon) == Keyed.load(path)


@pytest.mark.parametrize("data", [None, b"", b"short", b"export default '';"])
def test_a_key_file_that_keeps_no_secret_is_refused_with_what_to_do(tmp_path, data):
    path = tmp_path / "key"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"make it readable|openssl rand"):
        Keyed.load(path)


def test_the_key_is_not_shown():
    assert "key of" not in repr(KEYED)


def test_chains_share_what_prompts_share():
    short, longer, other = (KEYED.chain(list(said)) for said in ("ab", "abc", "ax"))
    assert short == longer[:2]
    assert short[0] == other[0]
    assert short[1] != other[1]
    assert short != Keyed(b"another key of tests").chain(["a", "b"])


def test_a_long_chain_keeps_both_ends():
    whole = [KEYED.chain(list(range(n)))[-1] for n in range(1, 21)]
    assert whole[:4] + whole[-4:] == KEYED.chain(list(range(20)))


def test_of_very_many_messages_the_middle_counts_as_one():
    many = list(range(5000))
    folded = [*many[:512], many[512:-512], *many[-512:]]
    assert KEYED.chain(folded) == KEYED.chain(many)
    assert KEYED.chain(many[:1025])[-1] != KEYED.chain(many)[-1]


def slow_simhash(text, secret):
    """Charikar's definition, bit by bit."""
    words = text.split()
    features = {" ".join(words[i : i + 3]) for i in range(max(len(words) - 2, 1))}
    key = sha256(b"simhash\0" + secret).digest()
    hashes = [blake2b(f.encode(), digest_size=8, key=key).digest() for f in features]
    bits = [int.from_bytes(h, "big") for h in hashes]
    return f"{sum(1 << b for b in range(64) if sum(x >> b & 1 for x in bits) * 2 > len(bits)):016x}"


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
def test_a_simhash_is_the_majority_of_its_features_bits(words):
    text = " ".join(words)
    assert slow_simhash(text, b"a key of the tests") == KEYED.simhash(text)


def distance(one, other):
    return (int(one, 16) ^ int(other, 16)).bit_count()


def test_texts_that_differ_in_a_word_are_near_and_others_are_far():
    text = " ".join(WORDS)
    near = " ".join([*WORDS[:100], "else", *WORDS[101:]])
    far = " ".join(reversed(WORDS))
    assert distance(KEYED.simhash(text), KEYED.simhash(near)) < 12
    assert distance(KEYED.simhash(text), KEYED.simhash(far)) > 16


def test_a_text_without_words_has_no_simhash():
    assert "" == KEYED.simhash(" !? ")


def test_a_huge_text_is_looked_at_in_its_beginning():
    assert KEYED.simhash("word " * 10_000) == KEYED.simhash("word " * 1_000_000)
