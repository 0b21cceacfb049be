"""What the README and types/database.ts promise of the API, read out of their tables."""

from __future__ import annotations

import re
from typing import NamedTuple

from conftest import ROOT

README = (ROOT / "README.md").read_text()
TYPES = (ROOT / "types" / "database.ts").read_text()
STATUSES = {
    token: (int(status), code)
    for status, code, tokens in re.findall(r"^\| (\d{3}) (\w{5}) \| (.*?) \|", README, re.MULTILINE)
    for token in re.findall(r"\w+", tokens)
}


class Rpc(NamedTuple):
    """A row of the README's table of RPCs: "…" stands for the arguments above it, "the same" for the cell above."""

    arguments: list[str]
    caller: str
    returns: str
    raises: set[str]

    def allows(self, token: str) -> bool:
        return token in self.raises or (token.startswith("invalid_") and "invalid_*" in self.raises)


def rpcs() -> dict[str, Rpc]:
    found = dict[str, Rpc]()
    above = Rpc([], "", "", set())
    for name, signature, caller, returns, raises in re.findall(
        r"^\| `(\w+)\((.*?)\)` \| (\w+) \| (.*?) \| (.*?) ?\|$", README, re.MULTILINE
    ):
        arguments = list[str]()
        for argument in filter(None, signature.split(", ")):
            arguments += above.arguments if argument == "…" else [argument.split()[0]]
        above = Rpc(
            arguments,
            caller,
            above.returns if returns.startswith("the same") else returns,
            above.raises if raises == "the same" else set(re.findall(r"`([\w*]+)`", raises)),
        )
        found[name] = above
    return found


def fields(text: str) -> dict[str, bool]:
    """The fields of a type, and which of them may be null."""
    return {name: "| null" in kind for name, kind in re.findall(r'"(\w+)"\??: ([^,\n]+)', text)}


COMPOSITES = {
    name: fields(body)
    for name, body in re.findall(r'"(\w+)": \{([^{}]*)\}', TYPES.partition("CompositeTypes: {")[2].partition("\n}")[0])
}
TABLES = {  # with their computed fields
    name: fields(body) for name, body in re.findall(r'"(\w+)": \{\s+Row: \{([^{}]*)\}', TYPES)
}


def answers() -> dict[str, dict[str, bool] | None]:
    """The fields that each function answers with; None where it answers with a value of one kind."""
    section = TYPES.partition("Functions: {")[2].partition("Enums: {")[0]
    found = dict[str, dict[str, bool] | None]()
    for name, returns in re.findall(
        r'^\s*"(\w+)":\n\{ Args: .*?; Returns: ([^{}\n]+|\{[^{}]*\})', section, re.MULTILINE
    ):
        kind = re.search(r"\['CompositeTypes'\]\[\"(\w+)\"\]", returns)
        found[name] = COMPOSITES[kind[1]] if kind else fields(returns) if returns.startswith("{") else None
    return found
