import pytest
from demo.meter import Meter, Report, rate


def reports(*rows):
    meter = Meter()
    meter.take([
        {"ts": ts, "name": name, "address": address, "done": done, "failed": failed,
         "bytes": size, "latencies_s": latencies}
        for ts, name, address, done, failed, size, latencies in rows
    ])  # fmt: skip
    return meter


def test_rates_are_per_second_and_summed_over_addresses():
    meter = reports(
        (11.0, "office", "192.0.2.1", 2, 0, 100, []),
        (12.0, "office", "192.0.2.1", 4, 1, 300, []),
        (11.0, "office", "192.0.2.2", 0, 0, 600, []),
        (12.0, "office", "192.0.2.2", 0, 0, 0, []),
    )
    seen = meter.over((10.0, 12.0), "office")
    assert (seen.done, seen.failed, seen.bytes_s, seen.requests_s) == (6, 1, 500.0, 3.0)


def test_only_seconds_wholly_within_the_span_count():
    meter = reports(
        (10.5, "person", "192.0.2.1", 1, 0, 0, [1.0]),
        (11.5, "person", "192.0.2.1", 1, 0, 0, [3.0]),
        (12.5, "person", "192.0.2.1", 1, 0, 0, [9.0]),
    )
    seen = meter.over((10.0, 12.0))
    assert (seen.done, seen.median_s) == (1, 3.0)


def test_names_and_addresses_select():
    meter = reports(
        (1.0, "person", "192.0.2.1", 1, 0, 0, []), (1.0, "agent", "192.0.2.9", 5, 0, 0, [])
    )
    assert meter.over((0.0, 2.0), "agent").done == 5
    assert meter.over((0.0, 2.0), addresses=["192.0.2.1"]).done == 1


def test_without_reports_there_is_no_median_and_no_rate():
    seen = Meter().over((0.0, 5.0))
    assert (seen.done, seen.bytes_s, seen.median_s) == (0, 0.0, None)


def test_a_report_is_read_back_as_it_was_printed():
    line = {"ts": 1.0, "name": "a", "address": "192.0.2.1", "done": 1, "failed": 0, "bytes": 2}
    report = Report.read(line | {"latencies_s": [0.5]})
    assert report.latencies_s == (0.5,)


@pytest.mark.parametrize(
    ("bytes_s", "text"),
    [(0.0, "0 B/s"), (1023.0, "1023 B/s"), (51_200.0, "50 KiB/s"), (3_145_728.0, "3.0 MiB/s")],
)
def test_rates_read_in_binary_units(bytes_s, text):
    assert text == rate(bytes_s)
