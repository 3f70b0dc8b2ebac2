"""Which programs are known, and by what; what is shipped for them is there."""

import re
from pathlib import Path

import pytest

from excise.decode.registry import FORMATS
from excise.doctor.programs import CADDY, LITELLM, NGINX, PROGRAMS, VLLM, program_of, writer_of

CHECKOUT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("name", "argv", "expected"),
    [
        ("nginx", ["nginx: master process /usr/sbin/nginx -g daemon on;"], "nginx"),
        ("haproxy", ["/usr/sbin/haproxy", "-Ws"], "HAProxy"),
        ("python3", ["/opt/v/bin/python3", "/opt/v/bin/vllm", "serve", "m"], "vLLM"),
        ("python3", ["python3", "-m", "vllm.entrypoints.openai.api_server"], "vLLM"),
        ("litellm", ["/usr/bin/python3", "/usr/bin/litellm", "--port", "4000"], "LiteLLM"),
        ("uvicorn", ["/usr/bin/python3", "/usr/bin/uvicorn", "app:app"], "uvicorn"),
        ("python3", ["python3", "-m", "http.server", "80", "nginx", "vllm"], None),
        ("vim", ["vim", "/etc/nginx.conf"], None),
        ("sh", [], None),
    ],
)
def test_a_process_is_known_by_its_name_or_its_first_words(name, argv, expected):
    found = program_of(name, argv)
    assert expected == (found.name if found else None)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_what_it_points_to_is_there(program):
    assert (CHECKOUT / program.page).is_file()
    directory = CHECKOUT / re.search(r"gateways/\w+", program.files)[0]
    files = re.findall(r"[\w-]+\.(?:conf|cfg|lua|yaml|py)\b|Caddyfile", program.files)
    assert files
    assert [] == [name for name in files if not (directory / name).is_file()]


def test_every_gateways_format_has_one_writer():
    told = [name for program in PROGRAMS for name in program.formats]
    assert len(told) == len(set(told))
    assert {"record", "otel", "alb"} == set(FORMATS) - set(told)


@pytest.mark.parametrize(
    ("form", "log", "running", "expected"),
    [
        ("nginx", "/srv/a.log", [CADDY], NGINX),
        ("record", "/var/log/nginx/excise.log", [], NGINX),
        ("record", "/var/log/excise-tap/records.log", [NGINX], VLLM),
        ("record", "/srv/a.log", [NGINX, VLLM], NGINX),
        ("record", "/srv/a.log", [VLLM], VLLM),
        ("record", "/srv/a.log", [NGINX, LITELLM], None),
        ("record", "/srv/a.log", [], None),
    ],
)
def test_the_writer_of_a_log_is_told_by_format_path_or_who_runs(form, log, running, expected):
    assert expected == writer_of(form, log, running)
