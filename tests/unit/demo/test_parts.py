import json

import pytest
from demo import kernel, stub, wire
from demo.shapes import (
    AGENT,
    ALL,
    BATCH,
    HARVESTER,
    HYDRA,
    OFFICE,
    Conversation,
    client_addresses,
)
from demo.tail import Tail


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("add element ip excise block { 203.0.113.1 timeout 1h expires 1h }",
         ("add", "excise", "block", "203.0.113.1")),
        ("delete element ip6 excise egr_net { 2001:db8::/64 }",
         ("delete", "excise", "egr_net", "2001:db8::/64")),
        ("add table ip excise", None),
        ("# new generation 7 by process 12 (python)", None),
    ],
)  # fmt: skip
def test_monitor_lines_name_set_and_element(line, expected):
    told = kernel.parse(line, 1.0)
    assert expected == (told and (told.op, told.table, told.set, told.element))


def test_a_tail_gives_each_whole_line_once(tmp_path):
    file = tmp_path / "lines"
    tail = Tail(file)
    assert tail.new() == []
    file.write_text('{"a": 1}\n{"a": ')
    assert tail.new() == [{"a": 1}]
    with file.open("a") as more:
        more.write("2}\n")
    assert tail.new() == [{"a": 2}]
    assert tail.new() == []


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", wire.Head(200, 12)),
        (b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n", wire.Head(502, None)),
    ],
)
def test_response_heads_tell_status_and_framing(head, expected):
    assert expected == wire.parse_head(head)


def test_a_request_carries_its_account_and_the_length_of_its_body():
    head, _, body = wire.request_bytes("h", "key", "ua", {"stream": True}).partition(b"\r\n\r\n")
    assert json.loads(body) == {"stream": True}
    assert b"Authorization: Bearer key" in head
    assert f"Content-Length: {len(body)}".encode() in head


def test_the_stub_tells_usage_in_the_last_event_as_openai_does():
    body = {"messages": [{"content": "x" * 40}, {"content": "y" * 4}]}
    data, done, rest = stub.last_events(body, 7).decode().split("\n\n")
    told = json.loads(data.removeprefix("data: "))["usage"]
    assert told == {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    assert (done, rest) == ("data: [DONE]", "")


def test_chunks_are_framed_as_rfc_9112_says():
    assert stub.chunk(b"0123456789") == b"a\r\n0123456789\r\n"
    assert stub.chunk(b"") == b"0\r\n\r\n"


def test_no_two_shapes_share_an_address_and_honest_ones_share_no_subnet_with_the_harvester():
    addresses = client_addresses()
    assert len(addresses) == len(set(addresses))
    subnets = {a.rpartition(".")[0] for a in HARVESTER.addresses}
    assert not subnets & {
        a.rpartition(".")[0] for s in ALL if s is not HARVESTER for a in s.addresses
    }


def test_a_hydra_of_sixty_accounts_has_forty_exits_of_which_the_office_is_one():
    assert (60, 40) == (len(set(HYDRA.accounts)), len(set(HYDRA.addresses)))
    assert set(OFFICE.addresses) == set(HYDRA.addresses) & set(OFFICE.addresses)
    subnets = {a.rpartition(".")[0] for a in HYDRA.addresses}
    assert len(subnets) == len(HYDRA.addresses)


def test_a_hydra_uses_all_its_accounts_within_three_turns_each_time_from_another_address():
    exits = {}
    for place in range(len(HYDRA.addresses)):
        for turn in range(3):
            exits.setdefault(HYDRA.account(place, 0, turn), []).append(place)
    assert set(HYDRA.accounts) == set(exits)
    assert [] == [a for a, places in exits.items() if len(places) != len(set(places))]


def test_an_office_worker_keeps_the_account_and_a_harvester_changes_it():
    assert len({OFFICE.account(0, 2, turn) for turn in range(9)}) == 1
    assert len(HARVESTER.accounts) == len({HARVESTER.account(0, 0, turn) for turn in range(9)})
    assert len(OFFICE.accounts) == len({OFFICE.account(0, w, 0) for w in range(OFFICE.parallel)})


def test_a_conversation_is_reproducible_and_an_agents_grows():
    first, again = Conversation(AGENT, "seed"), Conversation(AGENT, "seed")
    prompts = [first.next() for _ in range(3)]
    assert prompts == [again.next() for _ in range(3)]
    assert [len(p["messages"]) for p in prompts] == [2, 4, 6]


def test_a_batch_asks_each_question_afresh():
    talk = Conversation(BATCH, "seed")
    assert [len(talk.next()["messages"]) for _ in range(2)] == [2, 2]
