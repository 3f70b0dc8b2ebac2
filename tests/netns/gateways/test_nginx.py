"""What a real nginx logs with the files in gateways/nginx."""

import time

import pytest
from demo import gateway

from excise.gateways.keyed import Keyed
from excise.gateways.verdicts import DENIED, DirectoryBoard, Publisher, Term

pytestmark = pytest.mark.netns

SYSTEM = {"role": "system", "content": "You are a test."}
CREDENTIAL = "Bearer sk-a-secret"


def chat(*questions, **more):
    asked = [{"role": "user", "content": q} for q in questions]
    return {"model": "stub-70b", "messages": [SYSTEM, *asked], "max_tokens": 30} | more


@pytest.fixture
def nginx(make_gateway):
    return make_gateway()


def test_a_stream_is_told_with_its_usage_its_parameters_and_its_client(nginx):
    body = chat("How?", stream=True, temperature=0, n=1, top_logprobs=5, logprobs=True,
                logit_bias={"1": 2, "3": 4})  # fmt: skip
    status, _, text = nginx.ask(
        body, "/v1/chat/completions?key=x", Authorization=CREDENTIAL, **{"User-Agent": 'a "b"'}
    )
    (record,) = nginx.records(1)
    assert (status, text.endswith("data: [DONE]\n\n")) == (200, True)
    assert (record.client, record.peer, record.tls) == ("10.1.0.1", "", "TLSv1.3")
    assert (record.alpn, record.user_agent, record.method) == ("http/1.1", 'a "b"', "POST")
    assert (record.path, record.model, record.status) == ("/v1/chat/completions", "stub-70b", 200)
    assert (record.output_tokens, record.input_tokens, record.stream) == (30, 4, True)
    assert (record.max_tokens, record.n, record.temperature) == (30, 1, 0.0)
    assert (record.logprobs, record.logit_bias) == (5, 2)
    assert record.bytes_out > 30 * 100
    assert 0.0 <= record.ttfb <= record.duration


def test_a_document_is_told_with_its_usage(nginx):
    nginx.ask(chat("How?"))
    (record,) = nginx.records(1)
    assert (record.output_tokens, record.input_tokens) == (30, 4)


def test_a_stream_that_was_cut_off_counts_the_tokens_sent(nginx):
    nginx.ask(chat("How?", stream=True, max_tokens=100_000), read=20_000)
    (record,) = nginx.records(1)
    assert 100 <= record.output_tokens < 10_000


def test_an_account_is_a_keyed_hash_and_the_credential_stays_out_of_the_log(nginx):
    for credential in (CREDENTIAL, CREDENTIAL, "Bearer sk-another"):
        nginx.ask(chat("How?"), Authorization=credential)
    nginx.ask(chat("How?"))
    accounts = [record.account for record in nginx.records(4)]
    assert accounts[0] == accounts[1] != accounts[2]
    assert [len(account) for account in accounts] == [24, 24, 24, 0]
    assert b"secret" not in b"".join(nginx.lines(4))


def test_the_hash_chain_shares_what_the_prompts_share_and_holds_no_text(nginx):
    nginx.ask(chat("one"))
    nginx.ask(chat("one", "two"))
    nginx.ask(chat("other"))
    first, longer, other = [record.prompt for record in nginx.records(3)]
    assert [len(first), len(longer), len(other)] == [2, 3, 2]
    assert first == longer[:2]
    assert first[0] == other[0]
    assert first[1] != other[1]
    assert b"You are" not in b"".join(nginx.lines(3))


def test_a_long_chain_keeps_its_first_four_and_its_last_four(nginx):
    questions = [f"q{n}" for n in range(19)]
    nginx.ask(chat(*questions))
    nginx.ask(chat(*questions, "q-last"))
    shorter, longer = [record.prompt for record in nginx.records(2)]
    assert (len(shorter), len(longer)) == (8, 8)
    assert shorter[:4] == longer[:4]
    assert shorter[-3:] == longer[-4:-1]


def test_plaintext_is_told_as_such(nginx):
    nginx.ask(chat("How?"), tls=False)
    (record,) = nginx.records(1)
    assert record.tls == "none"


def test_what_is_no_json_passes_and_leaves_the_parameters_unknown(nginx):
    status, _, _ = nginx.ask("{broken", "/told/x")
    (record,) = nginx.records(1)
    assert (status, record.prompt, record.max_tokens) == (200, (), -1)


def test_the_applications_word_wins_and_the_client_does_not_see_it(nginx):
    _, headers, _ = nginx.ask(chat("How?"), "/told/x", Authorization=CREDENTIAL)
    (record,) = nginx.records(1)
    assert (record.account, record.org, record.model) == ("acct-told", "org-told", "model-told")
    assert not [name for name in headers if name.lower().startswith("x-excise")]


def test_the_chain_is_that_of_the_tap(nginx):
    nginx.ask(chat('one \u00e9 "two" \n', "three"))
    (record,) = nginx.records(1)
    said = chat('one \u00e9 "two" \n', "three")["messages"]
    assert tuple(Keyed(b"a key of the test").chain(said)) == record.prompt


def test_of_very_many_messages_the_middle_counts_as_one(nginx):
    nginx.ask({"messages": list(range(5000))})
    (record,) = nginx.records(1)
    assert tuple(Keyed(b"a key of the test").chain(list(range(5000)))) == record.prompt


def test_a_denied_account_gets_429_at_once_and_again_an_answer_when_it_is_not_any_more(nginx):
    account = Keyed(b"a key of the test").account(CREDENTIAL)
    publisher = Publisher([DirectoryBoard(nginx.world.path("verdicts"), DENIED)], time.time)
    publisher.publish({account: Term(time.time() + 600)})
    status, headers, _ = nginx.ask(chat("How?"), Authorization=CREDENTIAL)
    free, _, _ = nginx.ask(chat("How?"), Authorization="Bearer sk-another")
    publisher.clear()
    again, _, _ = nginx.ask(chat("How?"), Authorization=CREDENTIAL)
    assert (429, "60", 200, 200) == (status, headers["Retry-After"], free, again)
    denied = nginx.records(3)[0]
    assert (429, account) == (denied.status, denied.account)


def test_a_denial_that_nobody_renews_lapses(nginx):
    account = Keyed(b"a key of the test").account(CREDENTIAL)
    DirectoryBoard(nginx.world.path("verdicts"), DENIED).show({account: Term(time.time() - 1)})
    status, _, _ = nginx.ask(chat("How?"), Authorization=CREDENTIAL)
    assert 200 == status


def test_without_njs_the_applications_headers_make_the_record(make_gateway):
    nginx = make_gateway(njs=False)
    _, headers, _ = nginx.ask(chat("How?"), "/told/x")
    nginx.ask(chat("How?"))
    told, silent = nginx.records(2)
    assert (told.account, told.org, told.model) == ("acct-told", "org-told", "model-told")
    assert (told.input_tokens, told.output_tokens, told.prompt) == (12, 345, ("00ff00ff00ff00ff",))
    assert (silent.account, silent.output_tokens, silent.prompt) == ("", -1, ())
    assert not [name for name in headers if name.lower().startswith("x-excise")]


def test_the_example_server_is_a_configuration_that_nginx_takes(nginx):
    world = nginx.world
    example = (gateway.SHIPPED / "excise-server.conf").read_text()
    for shipped, here in (
        ("/etc/nginx/tls/llm.example.net.pem", world.path("cert.pem")),
        ("/etc/nginx/tls/llm.example.net.key", world.path("key.pem")),
        ("js_path /etc/nginx/excise;", f"js_path {gateway.SHIPPED}; js_path {world.path('key')};"),
        ("/etc/nginx/excise", gateway.SHIPPED),
        ("/var/log/nginx", world.directory),
    ):
        assert shipped in example
        example = example.replace(shipped, str(here))
    conf = world.path("example.conf")
    conf.write_text(f"load_module {gateway.NJS_MODULE};\nevents {{}}\nhttp {{\n{example}\n}}\n")
    world.run(world.client, "nginx", "-t", "-q", "-c", str(conf), "-g", "pid /dev/null;")
