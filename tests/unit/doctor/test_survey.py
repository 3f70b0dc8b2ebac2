"""What runs, as /proc tells it."""

from excise.doctor.listening import Listener
from excise.doctor.programs import CADDY, NGINX, VLLM
from excise.doctor.survey import Running, survey


def test_programs_are_found_with_their_sockets_and_the_files_they_write(proc, tmp_path):
    log = tmp_path / "access.log"
    log.touch()
    proc.sockets(("00000000:01BB", "0A", 12), ("00000000:0016", "0A", 13))
    written = [(log, "0102001"), (tmp_path / "gone.log", "0102001"), ("/dev/null", "01")]
    proc.process(7, "nginx", "nginx: master", inodes=[12], files=written, unit="nginx.service")
    proc.process(8, "nginx", "nginx: worker", inodes=[12, 99], files=[(log, "0100000")])
    proc.process(9, "sshd", inodes=[13])
    found = survey(proc.path)
    socket = Listener("0.0.0.0", 443, 12)
    expected = Running(NGINX, (socket,), (str(log),), "nginx.service")
    assert ((expected,), ["nginx"]) == (found.running, found.owners(443))
    assert [22, 443] == [one.port for one in found.listening]


def test_what_runs_in_another_network_namespace_is_told_apart(proc):
    proc.sockets()
    proc.process(7, "caddy")
    proc.process(8, "caddy", namespace="net:[2]")
    expected = [(CADDY, False), (CADDY, True)]
    assert expected == [(one.program, one.elsewhere) for one in survey(proc.path).running]


def test_what_may_not_be_looked_into_is_named_all_the_same(proc):
    proc.sockets()
    proc.process(7, "vllm")
    for directory in ("fd", "fdinfo"):
        (proc.path / "7" / directory).rmdir()
    assert (Running(VLLM, readable=False),) == survey(proc.path).running


def test_a_file_name_that_could_draw_on_a_terminal_is_passed_over(proc, tmp_path):
    log = tmp_path / "a\x1b[2J.log"
    log.touch()
    proc.sockets()
    proc.process(7, "nginx", files=[(log, "01")])
    assert () == survey(proc.path).running[0].logs


def test_without_sockets_it_says_why(proc):
    found = survey(proc.path)
    assert ((), True) == (found.listening, "cannot be read" in found.problem)
