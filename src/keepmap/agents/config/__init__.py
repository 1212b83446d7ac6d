"""Configurations: YAML files with the guide's keys, checked as a whole.

config = load_config(["config/env/darkroom.yaml", "config/model/ad_dr.yaml"], ["n_transit=80"])
config.room(), config.goal_split(), config.shape(), config.run_folder()
"""

from keepmap.agents.config.load import DEFAULT, load_config
from keepmap.agents.config.schema import KEYS, Config

__all__ = ["DEFAULT", "KEYS", "Config", "load_config"]
