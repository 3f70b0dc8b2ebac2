"""What listens and what runs, as checks."""

from excise.config import Config
from excise.doctor.check import Check, State
from excise.doctor.listening import Listener
from excise.doctor.programs import CADDY, LITELLM, VLLM
from excise.doctor.serving import check_listeners, check_serving
from excise.doctor.survey import Running, Survey
from excise.model.portguard import PortGuard


def test_open_ports_are_named_with_who_has_them(host):
    expected = Check("listeners", State.OK, "on 443 (nginx), 8000 (vLLM)")
    assert expected == check_listeners(host(), [443, 8000])


def test_a_port_on_which_nobody_listens_is_told_with_the_ports_that_are_open(host):
    check = check_listeners(host(), [443, 8443])
    assert State.WARN is check.state
    text = "nothing listens on port 8443 of `ports`; nginx listens on 80, 443"
    assert text == check.text


def test_what_cannot_be_seen_is_said():
    check = check_listeners(Survey(problem="/proc/self/net/tcp cannot be read"), [443])
    assert (State.WARN, "/proc/self/net/tcp cannot be read") == (check.state, check.text)


def test_each_program_has_its_page(host):
    texts = [check.text for check in check_serving(host(), Config())]
    assert "nginx listens on 80, 443: docs/gateways-nginx.md" in texts
    assert "vLLM listens on 8000: docs/gateways-vllm.md" in texts


def test_what_is_not_seen_of_a_program_is_said():
    running = (Running(CADDY, elsewhere=True), Running(LITELLM, readable=False), Running(VLLM))
    texts = [check.text for check in check_serving(Survey(running=running), Config())]
    assert "Caddy runs in another network namespace, such as a container's: " in texts[1]
    assert "LiteLLM runs; what it listens on only root may see" in texts[2]
    assert "vLLM runs, and listens on nothing" in texts[3]
    assert "no gateway or model server" in list(check_serving(Survey(), Config()))[1].text


def test_a_model_server_that_clients_reach_past_the_gateway_is_warned_of(host):
    def exposed(found, **config):
        return [c for c in check_serving(found, Config(**config)) if "model server" == c.name]

    (check,) = exposed(host("0.0.0.0"))
    assert (State.WARN, True) == (check.state, "guard: {ports: [8000]}" in check.advice)
    assert [] == exposed(host("127.0.0.1"))
    assert [] == exposed(host("0.0.0.0"), guard=PortGuard((8000,)))
    alone = Survey(running=(Running(VLLM, (Listener("0.0.0.0", 8000),)),))
    assert [] == exposed(alone)
