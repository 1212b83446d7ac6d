"""Algorithm Distillation: train a transformer to predict what learners did next, from what they had seen."""
