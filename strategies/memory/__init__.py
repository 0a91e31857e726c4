"""Memories of past samples for rehearsal, the same on any number of workers.

`reservoir` is the bounded uniform sample (bottom-k of seeded hashes), `herding` chooses exemplars by their mean,
`rehearsal` is what the methods with a memory share, `replay_weights` how much the past counts in a batch. Other rooms
import `Memory` and `Rehearsal` from `strategies`.
"""

from typing import TYPE_CHECKING

from strategies.api.lazy_names import lazy_names

if TYPE_CHECKING:
    from strategies.memory.reservoir import Memory, Shard, balanced_bottom_k, bottom_k, sample_keys

__all__ = ["Memory", "Shard", "balanced_bottom_k", "bottom_k", "sample_keys"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Memory": ".reservoir",
        "Shard": ".reservoir",
        "balanced_bottom_k": ".reservoir",
        "bottom_k": ".reservoir",
        "sample_keys": ".reservoir",
    },
)
