"""What a real HAProxy logs with the files in gateways/haproxy."""

import time

import pytest

from excise.gateways.haproxy import HaproxyBoard
from excise.gateways.keyed import Keyed
from excise.gateways.verdicts import BoardError, Publisher, Term

pytestmark = pytest.mark.netns

SYSTEM = {"role": "system", "content": "You are a test."}
CREDENTIAL = "Bearer sk-a-secret"
KEYED = Keyed(b"a key of the test")


def chat(*questions, **more):
    asked = [{"role": "user", "content": q} for q in questions]
    return {"model": "stub-70b", "messages": [SYSTEM, *asked], "max_tokens": 30} | more


def test_a_stream_is_told_with_its_usage_its_parameters_and_its_client(haproxy):
    body = chat("How?", stream=True, temperature=0.5, n=1, top_logprobs=5, logprobs=True,
                logit_bias={"1": 2, "3": 4})  # fmt: skip
    status, _, text = haproxy.ask(
        body, "/v1/chat/completions?key=x", Authorization=CREDENTIAL, **{"User-Agent": 'a "b"\\'}
    )
    (record,) = haproxy.records(1)
    assert (status, text.endswith("data: [DONE]\n\n")) == (200, True)
    assert (record.client, record.peer, record.tls) == ("10.1.0.1", "", "TLSv1.3")
    assert (record.alpn, record.user_agent, record.method) == ("http/1.1", 'a "b"\\', "POST")
    assert (record.path, record.model, record.status) == ("/v1/chat/completions", "stub-70b", 200)
    assert (record.output_tokens, record.input_tokens, record.stream) == (30, 4, True)
    assert (record.max_tokens, record.n, record.temperature) == (30, 1, 0.5)
    assert (record.logprobs, record.logit_bias) == (5, 2)
    assert record.bytes_out > 30 * 100
    assert 0.0 <= record.ttfb <= record.duration
    assert abs(time.time() - record.ts) < 60


def test_a_document_is_told_with_its_usage(haproxy):
    haproxy.ask(chat("How?"))
    (record,) = haproxy.records(1)
    assert (record.output_tokens, record.input_tokens) == (30, 4)


def test_a_stream_that_was_cut_off_counts_the_tokens_sent(haproxy):
    haproxy.ask(chat("How?", stream=True, max_tokens=100_000), read=20_000)
    (record,) = haproxy.records(1)
    assert 100 <= record.output_tokens < 10_000


def test_an_account_is_a_keyed_hash_and_the_credential_stays_out_of_the_log(haproxy):
    haproxy.ask(chat("How?"), Authorization=CREDENTIAL)
    haproxy.ask(chat("How?"))
    accounts = [record.account for record in haproxy.records(2)]
    assert [KEYED.account(CREDENTIAL), ""] == accounts
    assert b"secret" not in b"".join(haproxy.lines(2))


@pytest.mark.parametrize(
    "messages",
    [
        [SYSTEM, {"role": "user", "content": "one"}],
        [{"role": "user", "content": 'q " \\ / \b \f \n \r \t \x1f é \u20ac \U0001f600'}],
        [{"role": "user", "content": [{"type": "text", "text": "x"}], "n": [1, 2.5, None, True]}],
        [{"role": "user", "content": f"q{n}"} for n in range(20)],
        [{}, [], "", {"a": {"b": [{}]}}],
        list(range(5000)),
    ],
)
def test_the_hash_chain_is_that_of_the_tap_and_holds_no_text(haproxy, messages):
    haproxy.ask({"messages": messages})
    (record,) = haproxy.records(1)
    assert tuple(KEYED.chain(messages)) == record.prompt
    assert b"content" not in haproxy.lines(1)[0]


@pytest.mark.parametrize(
    "body",
    ["{broken", '{"messages": [', "[1]", '{"model": "a\\nb", "messages": "\\ud800"}', "[" * 9_000,
     '{"model": "x\n\\"} {", "n": "1\\"2", "max_tokens": -1}', "x" * 70_000],
    ids=["broken", "cut", "list", "escapes", "deep", "forging", "huge"],
)  # fmt: skip
def test_what_makes_no_sense_passes_and_leaves_the_parameters_unknown(haproxy, body):
    status, _, _ = haproxy.ask(body, "/told/x")
    (record,) = haproxy.records(1)
    assert (status, record.max_tokens, record.n, record.model) == (200, -1, -1, "model-told")


def test_plaintext_is_told_as_such(haproxy):
    haproxy.ask(chat("How?"), tls=False)
    (record,) = haproxy.records(1)
    assert record.tls == "none"


def test_the_applications_word_wins_and_the_client_does_not_see_it(haproxy):
    _, headers, _ = haproxy.ask(chat("How?"), "/told/x", Authorization=CREDENTIAL)
    (record,) = haproxy.records(1)
    assert (record.account, record.org, record.model) == ("acct-told", "org-told", "model-told")
    assert not [name for name in headers if name.lower().startswith("x-excise")]


def test_a_denied_account_gets_429_at_once_and_again_an_answer_when_it_is_not_any_more(haproxy):
    board = HaproxyBoard(haproxy.world.path("admin.sock"), str(haproxy.world.path("denied.map")))
    publisher = Publisher([board], time.time)
    others = {f"other-{n}": Term(time.time() + 600) for n in range(200)}
    publisher.publish({KEYED.account(CREDENTIAL): Term(time.time() + 600), **others})
    status, headers, _ = haproxy.ask(chat("How?"), Authorization=CREDENTIAL)
    free, _, _ = haproxy.ask(chat("How?"), Authorization="Bearer sk-another")
    publisher.clear()
    again, _, _ = haproxy.ask(chat("How?"), Authorization=CREDENTIAL)
    assert (429, "60", 200, 200) == (status, headers["retry-after"], free, again)
    denied = haproxy.records(3)[0]
    assert (429, KEYED.account(CREDENTIAL)) == (denied.status, denied.account)


def test_a_denial_that_nobody_renews_lapses(haproxy):
    board = HaproxyBoard(haproxy.world.path("admin.sock"), str(haproxy.world.path("denied.map")))
    board.show({KEYED.account(CREDENTIAL): Term(time.time() - 1)})
    status, _, _ = haproxy.ask(chat("How?"), Authorization=CREDENTIAL)
    assert 200 == status


def test_a_map_that_haproxy_does_not_have_is_an_error_that_says_so(haproxy):
    board = HaproxyBoard(haproxy.world.path("admin.sock"), "/no/such.map")
    with pytest.raises(BoardError, match=r"has no map /no/such\.map"):
        board.show({})


def test_a_map_that_is_not_required_may_be_missing_while_nobody_is_on_it(haproxy):
    admin = haproxy.world.path("admin.sock")
    board = HaproxyBoard(admin, "/no/such.map", required=False)
    board.show({})
    with pytest.raises(BoardError, match=r"has no map /no/such\.map"):
        board.show({"account": Term(time.time() + 30, 3)})
