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
    assert fields | {"tls_handshake"} == blind(watched)


def test_fields_that_come_are_seen_after_a_while(engine, observe, record):
    watched = engine()
    observe(watched, [record(i) for i in range(50)])
    full = {"account": "a", "org": "o", "output_tokens": 9, "prompt": ("aa",), "ja4": "t13d"}
    full |= {"model": "m", "simhash": "0123456789abcdef", "tcp_rtt": 0.02, "tls_handshake": 0.03}
    observe(watched, [record(60 + i, **full) for i in range(2000)])

    assert set() == blind(watched)


def test_one_handshake_in_five_hundred_requests_is_as_many_as_lasting_connections_have(
    engine, observe, record
):
    watched = engine()
    times = {"tcp_rtt": 0.02, "tls_handshake": 0.03}
    observe(watched, [record(i, **({} if i % 500 else times)) for i in range(2000)])

    assert "tls_handshake" not in blind(watched)


def test_times_of_a_proxy_in_front_are_as_good_as_none(engine, observe, record):
    watched = engine()
    times = {"peer": "192.0.2.1", "tcp_rtt": 0.02, "tls_handshake": 0.03}
    observe(watched, [record(i, **times) for i in range(50)])

    assert "tls_handshake" in blind(watched)
