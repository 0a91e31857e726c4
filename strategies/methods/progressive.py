"""Progressive neural networks."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from strategies.api.data import Experience
from strategies.api.guide import Guide
from strategies.loop.learner import Learner
from strategies.loop.seeded_random import integer
from strategies.networks.output_layer import head_name, stored_head
from strategies.networks.progressive_columns import Columns
from strategies.networks.separate_tasks import SeparateTasks


class Progressive(SeparateTasks):
    """Progressive networks: Rusu et al. 2016, Progressive neural networks, equation 2.

    Each experience gets a column: a fresh copy of the model. The earlier columns are frozen, and feed the new one. To
    the output of every layer i but the first, the new column adds

        U_i relu(V_i alpha_(i-1) h_(i-1)^(<k))

    where h_(i-1)^(<k) are the inputs of layer i in the earlier columns, each times a learned scalar alpha, V is a
    projection, and U has the layer's own form (`networks.lateral_connections`). Layers are the torch.nn.Linear and
    Conv2d of the model, in the order in which it calls them; other parts (such as normalisation) belong to the column
    alone.

    Each experience is classified by its own column, which never changes again. The network grows with the number of
    experiences, and the lateral connections with its square; a prediction passes through the columns up to that of its
    task.
    """

    name = "progressive"
    summary = "A new column for each experience, fed by the frozen ones before it"
    paper = "Rusu et al. 2016, Progressive neural networks"
    guide = Guide(
        time="forward passes through all columns so far",
        memory="a column for each experience, with connections to those before it",
        use_when="nothing at all may be forgotten, and experiences are few",
    )

    def before_experience(self, learner: Learner, experience: Experience) -> None:
        """Add a column for the experience; the first column is the model itself."""
        network, inputs = learner.model, learner.example()
        if not isinstance(network, Columns):
            with learner.evaluating():
                network = Columns(network, head_name(network, inputs, self.name))
        seed = integer(learner.seed, "progressive", experience.index)
        network.add_task(inputs, self.task_units(learner, experience), experience.index, seed, self.name)
        network.infer = self.options.infer_task
        learner.model = network

    def restructure(self, model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
        if not any(name.startswith("columns.") for name in state):
            return model
        if not isinstance(model, Columns):
            places = ("columns.0.{}.layer.weight", "columns.0.{}.weight")
            model = Columns(model, stored_head(model, lambda name: any(p.format(name) in state for p in places)))
        model.restore_tasks(state)
        model.infer = self.options.infer_task
        return model

    def frozen_parts(self, model: nn.Module) -> Mapping[str, str]:
        return _columns(model)


def _columns(model: nn.Module) -> dict[str, str]:
    if not isinstance(model, Columns):
        return {}
    return {f"column.{k}": f"columns.{k}." for k in range(len(model.columns))}
