"""The bench of a pass fits the state it fills: it runs, on a small host, and finds its fleet."""

from tests.bench import campaigns as bench


def test_the_bench_of_a_pass_runs_and_finds_its_fleet(monkeypatch, capsys):
    sizes = {"ACCOUNTS": 600, "CLIENTS": 1500, "TEMPLATES": 400, "LINKS": 4000, "TIES": 1800}
    for name, size in sizes.items():
        monkeypatch.setattr(bench, name, size)
    bench.timed("one fleet", 60, 400)

    assert " 1 groups, " in capsys.readouterr().out
