"""The callback, against a standard logging payload as LiteLLM documents it."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from excise.gateways.keyed import Keyed
from excise.gateways.litellm import Callback

KEYED = Keyed(b"a key of the tests")
SYSTEM = {"role": "system", "content": "You are a test."}
SAID = [SYSTEM, {"role": "user", "content": "How many words?"}]
KEY_HASH = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"
#: written by hand in the documented shape (docs/proxy/logging_spec.md of LiteLLM)
PAYLOAD = {
    "id": "chatcmpl-1",
    "trace_id": "t-1",
    "call_type": "acompletion",
    "stream": True,
    "status": "success",
    "startTime": 1_795_444_645.0,
    "endTime": 1_795_444_646.5,
    "completionStartTime": 1_795_444_645.25,
    "model": "m-mid",
    "model_group": "m",
    "metadata": {
        "user_api_key_hash": KEY_HASH,
        "user_api_key_alias": "ci",
        "user_api_key_team_id": "team-1",
        "user_api_key_org_id": None,
        "user_api_key_user_id": "eve",
        "user_api_key_request_route": "/v1/chat/completions",
        "requester_ip_address": "203.0.113.7",
        "usage_object": {
            "prompt_tokens": 10,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
    },
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "total_tokens": 30,
    "request_tags": ["User-Agent: OpenAI", "User-Agent: OpenAI/Python 2.8.0"],
    "model_parameters": {"max_tokens": 512, "temperature": 0.5, "n": 2, "logprobs": True,
                         "top_logprobs": 5, "logit_bias": {"1": 2}, "stream": True},
    "requester_ip_address": None,
    "error_information": {"error_code": "", "error_class": ""},
}  # fmt: skip


@pytest.fixture
def told(tmp_path, settings_for, decode, heard):
    """Have requests told to a callback; return their records."""

    def tell(*payloads, said=SAID, failed=False, **more):
        path = tmp_path / "records.log"
        callback = Callback(settings_for(path, **more), heard.complaints)
        for payload in payloads:
            kwargs = {"standard_logging_object": payload, "messages": said}
            name = "async_log_failure_event" if failed else "async_log_success_event"
            asyncio.run(getattr(callback, name)(kwargs, None, None, None))
        callback.close()
        return decode(path.read_bytes().splitlines()) if path.exists() else []

    return tell


def test_a_payload_is_a_record(told):
    (record,) = told(PAYLOAD)
    assert (1_795_444_646.5, 1.5, 0.25) == (record.ts, record.duration, record.ttfb)
    assert ("203.0.113.7", "") == (record.client, record.peer)
    assert (KEYED.account(KEY_HASH), "team-1") == (record.account, record.org)
    assert ("/v1/chat/completions", 200, "m-mid") == (record.path, record.status, record.model)
    assert (10, 20, 4, 7) == (record.input_tokens, record.output_tokens, record.cached_tokens,
                              record.reasoning_tokens)  # fmt: skip
    assert (512, 2, 0.5, 5, 1, True) == (record.max_tokens, record.n, record.temperature,
                                         record.logprobs, record.logit_bias,
                                         record.stream)  # fmt: skip
    assert ("OpenAI/Python 2.8.0", "chatcmpl-1") == (record.user_agent, record.request_id)
    assert tuple(KEYED.chain(SAID)) == record.prompt
    assert KEYED.simhash("How many words?") == record.simhash


def test_no_text_and_no_hash_that_opens_anything_is_written(told, tmp_path):
    told(PAYLOAD | {"messages": SAID, "response": "some words"})
    line = (tmp_path / "records.log").read_text()
    assert [] == [word for word in ("words", "You are", KEY_HASH, "eve") if word in line]


def test_messages_that_litellm_has_redacted_are_no_prompt(told):
    (record,) = told(PAYLOAD, said=[{"role": "user", "content": "redacted-by-litellm"}])
    assert ((), "", 20) == (record.prompt, record.simhash, record.output_tokens)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"error_code": "429"}, 429),
        ({"error_code": ""}, 500),
        (None, 500),
        ({"error_code": 401}, 401),
    ],
)
def test_a_failure_has_the_status_of_its_error(told, error, expected):
    (record,) = told(PAYLOAD | {"status": "failure", "error_information": error}, failed=True)
    assert expected == record.status


@pytest.mark.parametrize(
    ("seen", "client", "peer"),
    [
        ("198.51.100.66, 203.0.113.7", "203.0.113.7", "0.0.0.0"),
        ("198.51.100.66, 203.0.113.7, 192.0.2.9", "203.0.113.7", "192.0.2.9"),
        ("192.0.2.9", "192.0.2.9", "0.0.0.0"),
        ("203.0.113.7:4711", "203.0.113.7", ""),
    ],
)
def test_of_a_list_of_hops_the_client_is_the_first_that_is_not_trusted(told, seen, client, peer):
    (record,) = told(PAYLOAD | {"requester_ip_address": seen})
    assert (client, peer) == (record.client, record.peer)


def test_times_may_be_datetimes(told):
    moment = datetime.fromtimestamp(1_795_444_646.5, UTC)
    (record,) = told(PAYLOAD | {"endTime": moment})
    assert (1_795_444_646.5, 1.5) == (record.ts, record.duration)


@pytest.mark.parametrize(
    "payload",
    [
        {"requester_ip_address": "203.0.113.7"},
        PAYLOAD | {"metadata": {"requester_ip_address": "203.0.113.7"}, "model_parameters": None},
        PAYLOAD | {"prompt_tokens": "x", "endTime": "soon", "request_tags": 7, "stream": "yes"},
    ],
)
def test_a_payload_with_little_in_it_is_a_record_of_little(told, payload):
    (record,) = told(payload, said=None)
    assert "203.0.113.7" == record.client


@pytest.mark.parametrize(
    ("payload", "complaint"),
    [
        (None, "no standard logging payload"),
        (PAYLOAD | {"metadata": {}}, "use_x_forwarded_for"),
        (PAYLOAD | {"metadata": 7}, "defect"),
    ],
)
def test_what_cannot_be_recorded_is_said_and_raises_nothing(told, heard, payload, complaint):
    assert [] == told(payload)
    assert any(complaint in text for text in heard.texts)


def test_the_sdks_own_calls_are_told_too(tmp_path, settings_for, decode, heard):
    path = tmp_path / "records.log"
    callback = Callback(settings_for(path), heard.complaints)
    kwargs = json.loads(json.dumps({"standard_logging_object": PAYLOAD, "messages": SAID}))
    callback.log_success_event(kwargs, None, None, None)
    callback.log_failure_event(kwargs, None, None, None)
    callback.close()
    assert 2 == len(decode(path.read_bytes().splitlines()))
