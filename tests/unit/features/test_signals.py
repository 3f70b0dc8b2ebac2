"""What a gateway does not log is said to be blind."""


def blind(watched):
    return {s.field for s in watched.status().signals if s.blind}


def test_before_the_first_request_nothing_is_said(engine):
    assert set() == blind(engine())
    assert {None} == {s.share for s in engine().status().signals}


def test_a_gateway_that_logs_addresses_alone_is_blind_to_nearly_all(engine, observe, record):
    watched = engine()
    observe(watched, [record(i) for i in range(50)])

    fields = {"account", "org", "output_tokens", "prompt", "client stack", "model", "simhash"}
    assert fields == blind(watched)


def test_fields_that_come_are_seen_after_a_while(engine, observe, record):
    watched = engine()
    observe(watched, [record(i) for i in range(50)])
    full = {"account": "a", "org": "o", "output_tokens": 9, "prompt": ("aa",), "ja4": "t13d"}
    full |= {"model": "m", "simhash": "0123456789abcdef"}
    observe(watched, [record(60 + i, **full) for i in range(2000)])

    assert set() == blind(watched)
