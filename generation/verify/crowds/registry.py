"""Table of crowds: annotation platforms, and tools for export and import."""

from d3s_dataset.utils.plugins import PluginTable
from generation.verify.crowds.base import Crowd

CROWDS: PluginTable[Crowd] = PluginTable(
    "d3s.crowds",
    "crowd",
    {
        "person": "generation.verify.crowds.colleagues:CROWD",
        "prolific": "generation.verify.crowds.prolific:CROWD",
        "mturk": "generation.verify.crowds.mturk:CROWD",
        "label-studio": "generation.verify.crowds.label_studio:CROWD",
        "ground-truth": "generation.verify.crowds.ground_truth:CROWD",
        "csv": "generation.verify.crowds.csv_votes:CROWD",
    },
    Crowd,
)
