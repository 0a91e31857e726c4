"""Which methods fit which situation, and why: the decision table of `everlearn recommend`, as data.

Rules are in the order of preference. They name what they recommend; its needs (such as kept samples) are declared by
the strategies' classes. Every reason names its source; a figure is the source's own, in its own protocol, and says
which method stands above which, not what another model or data set will reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from strategies.api.guide import CLASS, DOMAIN, TASK

VAN_DE_VEN = "van de Ven, Tuytelaars & Tolias 2022, Three types of incremental learning, table 2 (Split MNIST)"
VAN_DE_VEN_CIFAR = (
    "van de Ven, Tuytelaars & Tolias 2022, Three types of incremental learning, table 3 (Split CIFAR-100)"
)
VAN_DE_VEN_2019 = "van de Ven & Tolias 2019, Three scenarios for continual learning (Permuted MNIST)"
BUZZEGA = "Buzzega et al. 2020, Dark experience for general continual learning (sequential CIFAR-10)"
PRABHU = "Prabhu, Torr & Dokania 2020, GDumb"
MAI = "Mai et al. 2022, Online continual learning in image classification: an empirical survey"
RUSU = "Rusu et al. 2016, Progressive neural networks, section 2"
MALLYA = "Mallya & Lazebnik 2018, PackNet, section 3"
YAN = "Yan, Xie & He 2021, DER: dynamically expandable representation"
GANIN = "Ganin et al. 2016, Domain-adversarial training of neural networks"
CHAUDHRY = "Chaudhry et al. 2019, On tiny episodic memories in continual learning"
AGEM = "Chaudhry et al. 2019, Efficient lifelong learning with A-GEM"
NO_FIGURE = "Kirkpatrick et al. 2017 and Chaudhry et al. 2019 together; no published figure"
HAYES = "Hayes & Kanan 2020, Lifelong machine learning with deep streaming linear discriminant analysis"
WANG = "Wang et al. 2023, Orthogonal subspace learning for language model continual learning (O-LoRA)"
BIDERMAN = "Biderman et al. 2024, LoRA learns less and forgets less"
IBRAHIM = "Ibrahim et al. 2024, Simple and scalable strategies to continually pre-train large language models"
LESTER = "Lester et al. 2021, The power of scale for parameter-efficient prompt tuning; Razdaibiedina et al. 2023"
ALJUNDI = "Aljundi et al. 2017, Expert Gate: lifelong learning with a network of experts"
NAYAK = "Nayak et al. 2025, Sculpting subspaces: constrained full fine-tuning in LLMs for continual learning"
MAROUF = "Marouf et al. 2023, Weighted ensemble models are strong continual learners"
SCHWARZ = "Schwarz et al. 2018, Progress & compress"


@dataclass(frozen=True)
class Rule:
    """One line of the table.

    Attributes:
        strategies: names and options, as in a pipeline file; `capacity` is filled in where a method keeps samples.
        settings: the stream's settings in which it fits.
        online: whether it is for online streams, for others, or for both (None).
        why: the reason.
        source: where the reason comes from.
        most: the largest memory, in samples, that it fits; None: any size.
        families: the families of pretrained models and texts that it is for; empty: any pipeline.
    """

    strategies: Sequence[Mapping[str, Any]]
    settings: Sequence[str]
    why: str
    source: str
    online: bool | None = None
    most: int | None = None
    families: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(str(entry["name"]) for entry in self.strategies)


FINE_TUNING = "fine-tuning of a pretrained model"
DOMAIN_ADAPTATION = "domain adaptation of a pretrained model"
FEW_SHOT = "few samples for a pretrained model"
LANGUAGE_MODEL = "fine-tuning of a language model"
PRETRAINING = "continual pretraining"
FAMILIES = (FINE_TUNING, DOMAIN_ADAPTATION, FEW_SHOT, LANGUAGE_MODEL, PRETRAINING)
"""Families of pipelines with a model that starts from trained weights."""

# Below this number of samples, extra data stored with each sample matters more than the number of samples.
SMALL_MEMORY = 500

_ADAPTED: tuple[Rule, ...] = (
    Rule(
        [{"name": "replay", "ratio": 0.05, "exact": True}],
        [DOMAIN],
        "5 % of old text with a learning rate that is warmed up again keeps up with training on all text; for another "
        "language 25 %",
        IBRAHIM,
        online=False,
        families=(PRETRAINING,),
    ),
    Rule(
        [{"name": "slda"}],
        [CLASS, TASK, DOMAIN],
        "class means of frozen features need few samples, and give what all data at once would give",
        HAYES,
        families=(FEW_SHOT, FINE_TUNING),
    ),
    Rule(
        [{"name": "prompt", "per": "experience"}],
        [TASK],
        "only a few vectors are trained, and the prompt of an experience is frozen: nothing is forgotten",
        LESTER,
        families=(FEW_SHOT,),
    ),
    Rule(
        [{"name": "prompt"}],
        [DOMAIN],
        "only a few thousand parameters are trained, which few samples can determine",
        LESTER,
        families=(FEW_SHOT, LANGUAGE_MODEL),
    ),
    Rule(
        [{"name": "lora", "per": "experience"}],
        [TASK],
        "the adapter of an experience is frozen: it is not forgotten at all, and a commit is small",
        BIDERMAN,
        online=False,
        families=(FINE_TUNING,),
    ),
    Rule(
        [{"name": "lora"}, {"name": "replay"}],
        [CLASS, TASK, DOMAIN],
        "low-rank adapters forget less than full fine-tuning, and a memory reduces the rest",
        BIDERMAN,
        online=False,
        families=(FINE_TUNING, DOMAIN_ADAPTATION, LANGUAGE_MODEL),
    ),
    Rule(
        [{"name": "experts"}],
        [CLASS, DOMAIN],
        "an adapter for each experience, and a router over frozen features: no data and no task labels are needed",
        ALJUNDI,
        online=False,
        families=(FINE_TUNING,),
    ),
    Rule(
        [{"name": "o-lora"}],
        [TASK, DOMAIN],
        "each experience trains an adapter orthogonal to the earlier ones, and no data is kept",
        WANG,
        online=False,
        families=(FINE_TUNING, DOMAIN_ADAPTATION, LANGUAGE_MODEL),
    ),
    Rule(
        [{"name": "osf"}],
        [TASK, DOMAIN],
        "it trains more parameters than an adapter, orthogonal to the weights' strongest directions; no data is kept",
        NAYAK,
        online=False,
        families=(DOMAIN_ADAPTATION, LANGUAGE_MODEL, PRETRAINING),
    ),
    Rule(
        [{"name": "merge"}],
        [TASK, DOMAIN],
        "an average of the weights before and after an experience keeps much of both, at no cost in a step",
        MAROUF,
        online=False,
        families=(DOMAIN_ADAPTATION, LANGUAGE_MODEL),
    ),
    Rule(
        [{"name": "lora"}, {"name": "kl-to-base"}],
        [DOMAIN],
        "adapters forget less than full fine-tuning, and outputs stay close to those of the pretrained model",
        BIDERMAN,
        online=False,
        families=(PRETRAINING, LANGUAGE_MODEL),
    ),
)
"""For models that start from trained weights."""

RULES: tuple[Rule, ...] = (
    *_ADAPTED,
    # Old samples may be kept; classes share one head.
    Rule(
        [{"name": "der"}],
        [CLASS],
        "with a memory of 200 samples DER++ reaches 64.88 % where replay reaches 44.79 %",
        BUZZEGA,
        most=SMALL_MEMORY,
    ),
    Rule(
        [{"name": "replay"}],
        [CLASS],
        "88.79 %, where fine-tuning reaches 19.89 % and EWC 20.64 %: old samples separate new classes from old ones",
        VAN_DE_VEN,
        online=False,
    ),
    Rule(
        [{"name": "replay"}],
        [CLASS, TASK, DOMAIN],
        "a small memory that is replayed from the first batch on prevents much of the forgetting in a single pass",
        f"{CHAUDHRY}; {MAI}",
        online=True,
    ),
    Rule(
        [{"name": "ewc"}, {"name": "replay"}],
        [CLASS],
        "the memory separates old classes from new ones, and important weights change less",
        NO_FIGURE,
        online=False,
    ),
    Rule(
        [{"name": "der"}],
        [CLASS],
        "stored logits also help a large memory: 85.24 % against 82.47 % of replay, with 5120 samples",
        BUZZEGA,
    ),
    Rule(
        [{"name": "icarl"}],
        [CLASS],
        "37.83 % against 37.57 % of replay with 100 samples a class; means of exemplars do not favour new classes",
        VAN_DE_VEN_CIFAR,
        online=False,
    ),
    Rule(
        [{"name": "expand"}, {"name": "replay"}],
        [CLASS],
        "frozen features keep what was learned and new ones are added, at the price of a model that grows",
        YAN,
        online=False,
    ),
    Rule(
        [{"name": "gdumb"}],
        [CLASS],
        "trained from its memory alone it is the baseline that other uses of the same memory have to beat",
        PRABHU,
        online=False,
    ),
    # No samples may be kept, one head for all classes.
    Rule(
        [{"name": "generative-replay"}],
        [CLASS],
        "92.19 % without any sample kept, where EWC reaches 25.04 % and LwF 22.64 %",
        VAN_DE_VEN_2019,
        online=False,
    ),
    # The task of each test sample is given.
    Rule(
        [{"name": "lwf"}],
        [TASK],
        "99.60 % without any sample kept, close to joint training's 99.67 %",
        VAN_DE_VEN,
        online=False,
    ),
    Rule(
        [{"name": "ewc"}],
        [TASK],
        "99.06 % without any sample kept, where fine-tuning reaches 84.32 %",
        VAN_DE_VEN,
        online=False,
    ),
    Rule(
        [{"name": "packnet"}],
        [TASK],
        "the weights of an experience are frozen: it is not forgotten at all, and the model does not grow",
        MALLYA,
        online=False,
    ),
    Rule(
        [{"name": "progressive"}],
        [TASK],
        "the column of an experience is frozen: it is not forgotten at all, and the model grows",
        RUSU,
        online=False,
    ),
    Rule(
        [{"name": "der"}],
        [TASK],
        "with a memory of 200 samples DER++ reaches 91.92 %, replay 91.19 % and online EWC 68.29 %",
        BUZZEGA,
    ),
    Rule(
        [{"name": "replay"}],
        [TASK],
        "with a memory of 200 samples it reaches 91.19 %, where fine-tuning reaches 61.02 %",
        BUZZEGA,
        online=False,
    ),
    Rule(
        [{"name": "si"}],
        [TASK],
        "74.84 % without any sample kept, where fine-tuning reaches 61.43 %; no extra pass over the data",
        VAN_DE_VEN_CIFAR,
        online=False,
    ),
    # The same classes in other domains.
    Rule(
        [{"name": "replay"}],
        [DOMAIN],
        "39.00 %, where fine-tuning reaches 18.42 %, LwF 29.45 % and EWC 21.65 %",
        VAN_DE_VEN_CIFAR,
        online=False,
    ),
    Rule(
        [{"name": "dann"}],
        [DOMAIN],
        "features that do not distinguish domains carry over from one domain to the next",
        GANIN,
        online=False,
    ),
    Rule(
        [{"name": "generative-replay"}],
        [DOMAIN],
        "95.09 % without any sample kept, where EWC reaches 94.31 % and LwF 72.64 %",
        VAN_DE_VEN_2019,
        online=False,
    ),
    Rule(
        [{"name": "lwf"}],
        [DOMAIN],
        "71.18 % without any sample kept, where EWC reaches 63.03 %, if domains resemble each other",
        VAN_DE_VEN,
        online=False,
    ),
    Rule(
        [{"name": "si"}],
        [DOMAIN],
        "95.33 % without any sample kept, where fine-tuning reaches 78.51 %, if each domain has inputs of its own",
        VAN_DE_VEN_2019,
        online=False,
    ),
    # Each sample once.
    Rule(
        [{"name": "der"}],
        [DOMAIN],
        "logits that are stored as samples pass need no boundaries between experiences",
        BUZZEGA,
        online=True,
    ),
    Rule(
        [{"name": "agem"}],
        [TASK, DOMAIN],
        "one projection per step against a memory costs little, which matters when data keep arriving",
        AGEM,
        online=True,
    ),
    Rule(
        [{"name": "ewc", "mode": "online", "every": 100}],
        [TASK, DOMAIN],
        "the online form keeps one running estimate of parameter importance, and no samples",
        SCHWARZ,
        online=True,
    ),
)
