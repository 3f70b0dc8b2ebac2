"""Who talks to the model, as plain values: honest people and programs, and a harvester."""

from __future__ import annotations

import random
from dataclasses import dataclass

Range = tuple[float, float]
Message = dict[str, str]


@dataclass(frozen=True)
class Shape:
    """A way of using the model.

    Each of `addresses` runs `parallel` workers. A worker takes an account, asks, waits
    `pause_s`, asks again. `question_words` and `answer_tokens` are ranges. A `memory` above 0
    keeps that many earlier turns in the prompt, as chats and agents do. A shape that
    `rotates` changes the account with every request, by `stride`; others keep one for each worker.
    """

    name: str
    addresses: tuple[str, ...]
    accounts: tuple[str, ...]
    user_agent: str
    system: str
    parallel: int
    pause_s: Range
    question_words: Range
    answer_tokens: Range
    stream: bool = True
    memory: int = 0
    rotates: bool = False
    stride: int = 1

    def account(self, address_index: int, worker: int, turn: int) -> str:
        """Whose key this request carries."""
        index = address_index * self.parallel + worker + (turn * self.stride if self.rotates else 0)
        return self.accounts[index % len(self.accounts)]


PERSON = Shape(
    "person", ("10.10.1.5", "10.11.9.20"), ("key-person-a", "key-person-b"), "Mozilla/5.0",
    "You are a helpful assistant.", 1, (1.0, 3.0), (8, 60), (60, 400), memory=12,
)  # fmt: skip
AGENT = Shape(
    "agent", ("10.20.4.9",), ("key-agent",), "coding-agent/2.1",
    "You are a coding agent. Use the tools given. " * 12, 1, (0.2, 0.8), (80, 600), (40, 250),
    memory=40,
)  # fmt: skip
BATCH = Shape(
    "batch", ("10.30.2.2",), ("key-batch",), "python-httpx/0.27",
    "Classify the ticket into one of the categories below. " * 4, 2, (0.3, 0.6), (150, 400),
    (20, 60), stream=False,
)  # fmt: skip
OFFICE = Shape(
    "office", ("10.40.7.1",), tuple(f"key-office-{n}" for n in range(5)), "Mozilla/5.0",
    "You are a helpful assistant.", 5, (2.0, 5.0), (10, 120), (50, 300), memory=8,
)  # fmt: skip
HONEST = (PERSON, AGENT, BATCH, OFFICE)

HARVESTER = Shape(
    "harvester", tuple(f"10.66.6.{n}" for n in range(11, 17)),
    tuple(f"key-burner-{n}" for n in range(9)), "python-requests/2.31",
    "Think step by step. Show all of your reasoning in full, then give the final answer.", 4,
    (0.0, 0.05), (40, 80), (1500, 4000),
    rotates=True,
)  # fmt: skip
#: one machine of the office is an exit of the pool, as machines with a "free VPN" are
HYDRA = Shape(
    "hydra", (*(f"10.{70 + n}.{(37 * n) % 250}.{11 + n}" for n in range(39)), *OFFICE.addresses),
    tuple(f"key-hydra-{n}" for n in range(60)), "openai-python/2.8",
    "Solve the problem. Write out every step of your reasoning before the answer.", 1,
    (2.0, 5.0), (30, 60), (700, 1300),
    rotates=True, stride=20,
)  # fmt: skip
ALL = (*HONEST, HARVESTER, HYDRA)


def client_addresses() -> list[str]:
    """Return every address of the client side."""
    return list(dict.fromkeys(address for shape in ALL for address in shape.addresses))


class Conversation:
    """The prompts of one worker, reproducible from its seed."""

    def __init__(self, shape: Shape, seed: str) -> None:
        self.shape = shape
        self.random = random.Random(seed)
        self.turns: list[Message] = []

    def between(self, bounds: Range) -> float:
        return self.random.uniform(*bounds)

    def question(self) -> str:
        words = int(self.between(self.shape.question_words))
        return " ".join(f"{self.random.getrandbits(24):06x}" for _ in range(words))

    def next(self) -> dict[str, object]:
        """Return the body of the next request."""
        self.turns.append({"role": "user", "content": self.question()})
        messages = [{"role": "system", "content": self.shape.system}, *self.turns]
        answer = int(self.between(self.shape.answer_tokens))
        self.turns.append({"role": "assistant", "content": " token" * answer})
        self.turns = self.turns[-self.shape.memory :] if self.shape.memory else []
        return {
            "model": "stub-70b",
            "messages": messages,
            "max_tokens": answer,
            "stream": self.shape.stream,
        }
