"""The built-in strategies by name. Adding one takes one line here; nothing is imported before it is used."""

from __future__ import annotations

BUILT_IN: dict[str, str] = {
    "naive": "strategies.naive:Naive",
    "cumulative": "strategies.cumulative:Cumulative",
    "ewc": "strategies.ewc:EWC",
    "si": "strategies.si:SI",
    "mas": "strategies.mas:MAS",
    "lwf": "strategies.lwf:LwF",
    "replay": "strategies.replay:Replay",
    "der": "strategies.der:DER",
    "gem": "strategies.gem:GEM",
    "agem": "strategies.agem:AGEM",
    "icarl": "strategies.icarl:ICaRL",
    "gdumb": "strategies.gdumb:GDumb",
    "generative-replay": "strategies.generative_replay:GenerativeReplay",
    "progressive": "strategies.progressive:Progressive",
    "packnet": "strategies.packnet:PackNet",
    "expand": "strategies.expand:Expand",
    "dann": "strategies.dann:DANN",
}
