"""The table of probes: the values of `--probes`. No torch here; probes (`probes.base.Fit`) need it."""

from typing import TYPE_CHECKING

from d3s_dataset.utils.plugins import PluginTable

if TYPE_CHECKING:
    from benchmark.probing.probes.base import Fit

PROBES: "PluginTable[Fit]" = PluginTable(
    "d3s.probes",
    "probe",
    {
        "linear": "benchmark.probing.probes.linear:linear",
        "lda": "benchmark.probing.probes.lda:lda",
        "knn": "benchmark.probing.probes.knn:knn",
        "kernel": "benchmark.probing.probes.kernel:kernel",
        "mlp": "benchmark.probing.probes.mlp:mlp",
    },
)
