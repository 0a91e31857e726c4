"""The built-in strategies and objectives by name. Adding one takes one line; nothing is imported before it is used."""

from __future__ import annotations

BUILT_IN: dict[str, str] = {
    "naive": "strategies.methods.naive:Naive",
    "cumulative": "strategies.methods.cumulative:Cumulative",
    "ewc": "strategies.methods.ewc:EWC",
    "si": "strategies.methods.si:SI",
    "mas": "strategies.methods.mas:MAS",
    "lwf": "strategies.methods.lwf:LwF",
    "replay": "strategies.methods.replay:Replay",
    "der": "strategies.methods.der:DER",
    "gem": "strategies.methods.gem:GEM",
    "agem": "strategies.methods.agem:AGEM",
    "icarl": "strategies.methods.icarl:ICaRL",
    "gdumb": "strategies.methods.gdumb:GDumb",
    "generative-replay": "strategies.methods.generative_replay:GenerativeReplay",
    "progressive": "strategies.methods.progressive:Progressive",
    "packnet": "strategies.methods.packnet:PackNet",
    "expand": "strategies.methods.expand:Expand",
    "dann": "strategies.methods.dann:DANN",
    "lora": "strategies.methods.lora:LoRA",
    "slda": "strategies.methods.slda:SLDA",
    "o-lora": "strategies.methods.o_lora:OLoRA",
    "experts": "strategies.methods.experts:Experts",
    "kl-to-base": "strategies.methods.kl_to_base:KLToBase",
    "adapter": "strategies.methods.adapter:Adapter",
    "prompt": "strategies.methods.prompt:Prompt",
    "osf": "strategies.methods.osf:OSF",
    "merge": "strategies.methods.merge:Merge",
}

OBJECTIVES: dict[str, str] = {
    "classification": "strategies.objectives.classification:Classification",
    "multi-label": "strategies.objectives.multi_label:MultiLabel",
    "regression": "strategies.objectives.regression:Regression",
    "next-token": "strategies.objectives.next_token:NextToken",
}
