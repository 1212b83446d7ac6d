"""Algorithm Distillation: train a transformer to predict what learners did next, from what they had seen."""

from keepmap.agents.training.histories import check_stored, missing_histories
from keepmap.agents.training.log import Board
from keepmap.agents.training.loop import MakeBoard, Trained, finished_training, train_while
from keepmap.agents.training.run import TrainingRun

__all__ = [
    "Board",
    "MakeBoard",
    "Trained",
    "TrainingRun",
    "check_stored",
    "finished_training",
    "missing_histories",
    "train_while",
]
