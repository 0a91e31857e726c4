"""The `capabilities` part of a pipeline file: what the model should still be able to do after each experience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from pipelines.config.document import KeyPath
from pipelines.config.sections.gate_section import GateSpec
from pipelines.config.sections.section import Spec
from strategies.api.influence import NOT_LEARNED

Kind = Literal["multiple-choice", "classification", "perplexity", "generation-exact"]


class CapabilitySpec(Spec):
    """Items that no experience trains on. The model is asked before the first experience and after each.

    Attributes:
        name: of the capability, once in a file.
        data: a .jsonl file, also .gz or s3://, an item in each line. multiple-choice: {"prompt", "choices", "answer"};
            generation-exact: {"prompt", "answer"}; perplexity: {"text"}; classification: what the model takes, and its
            "label".
        kind: what is asked. multiple-choice: the likeliest of the choices; classification: the class, of a language
            model the likeliest of the file's labels; generation-exact: to write the answer, always the likeliest token
            next; perplexity: how likely the text is.
        margin: a smaller loss is none: of the share of right answers, or for perplexity of the mean log-likelihood of
            a token (0.05: a perplexity that is 5 % larger).
    """

    name: Annotated[str, NOT_LEARNED] = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$", max_length=100)
    data: Annotated[str, NOT_LEARNED] = Field(min_length=1, max_length=4096)
    kind: Annotated[Kind, NOT_LEARNED]
    margin: Annotated[float, NOT_LEARNED] = Field(default=0.05, gt=0, lt=1)


def capability_problems(
    capabilities: Sequence[CapabilitySpec] | None, objective: str, targets: str | None, gate: GateSpec | None
) -> list[tuple[KeyPath, str]]:
    """What is wrong with a file's capabilities, by key.

    Args:
        targets: what the objective learns; None: not known.
        gate: that may judge them.
    """
    problems: list[tuple[KeyPath, str]] = []
    if gate is not None and gate.capabilities is not None and not capabilities:
        text = "needs a section capabilities, which lists the items: add one, or leave it out"
        problems.append((("gate", "capabilities"), text))
    names = [one.name for one in capabilities or ()]
    for place, one in enumerate(capabilities or ()):
        at: KeyPath = ("capabilities", place)
        if one.name in names[:place]:
            problems.append(((*at, "name"), f"'{one.name}' is listed twice"))
        if targets == "classes" and one.kind != "classification":
            text = f"{one.kind} asks a language model (objective: next-token): a classifier has kind: classification"
            problems.append(((*at, "kind"), text))
        elif targets is not None and targets not in ("classes", "tokens"):
            text = f"capabilities are for classification and next-token, not for {objective}"
            problems.append((at, text))
    return problems
