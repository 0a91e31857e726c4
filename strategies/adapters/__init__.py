"""Small trainable parts inside a frozen model: low-rank adapters, and the network that has one for each experience.

`low_rank` and `bottleneck` are the layers, `soft_prompts` the trainable vectors before a text; `adapted_network` and
`prompted_network` have a head and an adapter or a prompt for each experience. They use torch alone; names and shapes
are those of PEFT, so that an exported adapter is one of its files. Only `strategies.methods` and `orchestrator.serving`
import from here.
"""
