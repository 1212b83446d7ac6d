"""Every key of the configuration: what it may hold, and that something reads it."""

import ast
import json
from dataclasses import fields, replace
from pathlib import Path

import pytest

import keepmap
from keepmap.agents.collection.source import sources
from keepmap.agents.config import KEYS, Config, load_config
from keepmap.agents.training.histories import configured_source
from keepmap.core.joining.plugins import load_plugin, unload_plugins
from keepmap.errors import InputError

SOURCE = Path(keepmap.__file__).parent

# A value of each key that is not its default, and what else it takes for it to act.
OTHER = {
    "env": "darkroom_hard",
    "grid_size": 5,
    "horizon": 7,
    "env_options": ({"episodes": 5, "arms": 3}, {"env": "bandit", "alg": "ucb"}),
    "n_tasks": (12, {"env": "bandit", "alg": "ucb"}),
    "max_reward": 99.0,
    "split": "0/9",
    "env_split_seed": 3,
    "train_env_ratio": 0.5,
    "alg": "q_learning",
    "alg_seed": 4,
    "n_stream": 3,
    "n_episodes": 5,
    "total_source_timesteps": 4000,
    "policy": ("MlpPolicy", {"alg": "ppo"}),
    "n_steps": (4, {"alg": "ppo"}),
    "batch_size": (4, {"alg": "ppo"}),
    "n_epochs": (4, {"alg": "ppo"}),
    "source_lr": (0.1, {"alg": "ppo"}),
    "tf_n_embd": 32,
    "tf_n_layer": 2,
    "tf_n_head": 2,
    "tf_n_inner": 32,
    "tf_dones": True,
    "tf_dropout": 0.1,
    "tf_attn_dropout": 0.1,
    "n_transit": 10,
    "n_slide": 5,
    "flash_attn": False,
    "mixed_precision": "fp32",
    "train_timesteps": 5,
    "train_batch_size": 2,
    "lr": 0.1,
    "num_warmup_steps": 0,
    "beta1": 0.5,
    "beta2": 0.5,
    "weight_decay": 0.5,
    "label_smoothing": 0.1,
    "train_seed": 9,
    "init": "tiny",
    "traj_dir": "elsewhere",
    "histories": "own.hdf5",
    "train_n_stream": 2,
    "train_source_timesteps": 100,
    "last_episodes": 2,
    "from_start": 0.1,
    "compressor": {"name": "recency", "keep_recent": 4},
    "compress_labels": (2, {"compressor": {"name": "uniform"}}),
    "log_dir": "runs/mine",
    "summary_interval": 3,
    "eval_interval": 0,
    "gen_interval": 7,
    "ckpt_interval": 8,
    "test_batch_size": 4,
}
ONE_VALUE = ("dim_states", "dim_actions", "num_actions", "model")  # facts that are checked


def other(name: str) -> tuple[object, dict[str, object]]:
    value = OTHER[name]
    return value if isinstance(value, tuple) else (value, {})


def test_every_key_is_tried_here():
    assert set(KEYS) == {*OTHER, *ONE_VALUE} == {field.name for field in fields(Config)} - {"source_keys"}


@pytest.mark.parametrize("name", OTHER)
def test_another_value_makes_another_configuration(name):
    value, needs = other(name)
    config = Config.from_dict({name: value, **needs})
    assert getattr(config, name) == value != getattr(Config(), name)
    assert config != Config.from_dict(needs)


def test_every_key_is_read_where_it_acts():
    read = {name for source in sources().values() for name, option in source.config_keys.items() if option}
    for path in SOURCE.rglob("*.py"):
        reader = path.parent.name != "config" or path.name in ("schema.py", "check.py")
        for node in ast.walk(ast.parse(path.read_text())) if reader else ():
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                where = ("config",) if path.name != "schema.py" else ("self",)
                read |= {node.attr} if node.value.id in where else set()
    # Checked one and all, in a loop over their names.
    read |= {"dim_states", "dim_actions", "num_actions"}
    unread = set(KEYS) - read - {"policy"}
    assert not unread, f"keys that nothing reads: {sorted(unread)}"


PLUGIN = """
from dataclasses import dataclass
from typing import ClassVar
from keepmap.agents.collection.source import Source

@dataclass(frozen=True)
class Mine(Source):
    alpha: float = 0.5
    word: str = "a"
    deep: bool = False
    learning_rate: float = 0.1
    name: ClassVar[str] = "mine"
    usual_episodes: ClassVar[int] = 2
    config_keys: ClassVar[dict] = {"alpha": "alpha", "its_word": "word", "deep": "deep", "source_lr": "learning_rate"}

    def learn(self, room, goals, learners, episodes, seed, progress=None):
        raise NotImplementedError
"""


@pytest.fixture
def mine(tmp_path):
    """A source of the user's own with keys of its own."""
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugin(tmp_path / "mine.py")
    yield tmp_path
    unload_plugins()


def test_a_source_of_the_users_own_brings_its_keys(mine):
    settings = ["alpha=0.3", "alg=mine", "its_word=010", "source_lr=1", "deep=true"]
    config = load_config(settings=settings)
    assert config.source_options() == {"alpha": 0.3, "word": "010", "learning_rate": 1.0, "deep": True}
    assert configured_source(config).alpha == 0.3
    assert Config.from_dict(json.loads(json.dumps(config.as_dict()))) == config != Config(alg="mine")
    assert hash(config) == hash(load_config(settings=settings)) and replace(config, lr=1.0).source_keys["alpha"] == 0.3
    # Every key is there, so that two runs differ where one of them leaves a key out.
    assert Config(alg="mine").as_dict()["alpha"] is None and "alpha" not in Config().as_dict()
    assert load_config(settings=["alg=mine", "alpha=null"]) == Config(alg="mine")
    (mine / "mine.yaml").write_text("alg: mine\nalpha: 0.25")
    assert load_config([mine / "mine.yaml"]).source_options() == {"alpha": 0.25}
    unload_plugins()
    with pytest.raises(InputError, match='unknown source "mine"'):
        Config.from_dict(config.as_dict())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["alpha=0.3"], "alpha is given, which the source optimistic does not use: leave it out, or alg=mine"),
        (["source_lr=0.3"], "does not use: leave it out, or alg=mine or ppo or q_learning"),
        (["alg=mine", "n_steps=4"], "n_steps is given, which the source mine does not use"),
        (["alg=mine", "alpha=much"], 'expected alpha of the source mine to be of type float, got "much"'),
        (["alg=mine", "alpha=[1, 2]"], "to be of type float"),
        (["alg=mine", "alpha.x=1"], 'settings="alpha.x=1": alpha has no parts; write alpha=value'),
        (["alg=mine", "alfa=1"], 'unknown key "alfa", did you mean "alpha"?'),
    ],
)
def test_a_key_of_a_source_that_is_refused(mine, settings, message):
    with pytest.raises(InputError) as refused:
        load_config(settings=settings)
    assert message in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('{"alpha": "alfa"}', 'its config_keys name the option "alfa", did you mean "alpha"?'),
        ('{"a.b": "alpha"}', "its config_keys have the key 'a.b'"),
    ],
)
def test_a_source_with_keys_that_are_refused(tmp_path, keys, message):
    text = "".join(f"    config_keys = {keys}\n" if "config_keys" in line else line for line in PLUGIN.splitlines(True))
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError) as refused:
        load_plugin(tmp_path / "mine.py")
    assert message in str(refused.value)


@pytest.mark.parametrize(("key", "of"), [("lr", "learning_rate"), ("fact", None)])
def test_a_source_cannot_take_a_key_of_every_configuration(tmp_path, key, of):
    (tmp_path / "mine.py").write_text(PLUGIN.replace('"source_lr": "learning_rate"', f"{key!r}: {of!r}"))
    load_plugin(tmp_path / "mine.py")
    try:
        assert Config().alg == "optimistic"
        with pytest.raises(InputError, match=f'the source mine cannot have "{key}" among its config_keys'):
            Config(alg="mine")
    finally:
        unload_plugins()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"n_transits": 10}, 'unknown key "n_transits", did you mean "n_transit"?'),
        ({"n_transit": 0}, "n_transit is 0; it must be a whole number from 1"),
        ({"n_transit": 1.5}, "n_transit is 1.5; it must be a whole number from 1"),
        ({"n_transit": True}, "n_transit is True; it must be a whole number"),
        ({"n_transit": 2**70}, "it must be a whole number from 1"),
        ({"n_transit": float("nan")}, "n_transit is nan"),
        ({"n_transit": None}, "n_transit is nothing"),
        ({"lr": float("inf")}, "lr is inf; it must be a number above 0"),
        ({"lr": [1]}, "lr is [1]"),
        ({"beta1": 1}, "beta1 is 1; it must be a number from 0 below 1"),
        ({"flash_attn": 1}, "flash_attn is 1; it must be true or false"),
        ({"mixed_precision": "fp16"}, 'mixed_precision is "fp16"; it must be "bf16" or "fp32"'),
        ({"model": "DPT"}, 'model is "DPT"; it must be "AD"'),
        ({"traj_dir": ""}, 'traj_dir is ""; it must be text'),
        ({"traj_dir": "a", "histories": "b"}, 'traj_dir "a" and histories "b" are both given; leave one of them out'),
        ({"dynamics": False}, 'the key "dynamics" has no meaning here'),
        ({"tf_dim_feedforward": 4}, "write tf_n_inner"),
        ({"env": "darkrom"}, 'unknown environment "darkrom", did you mean "darkroom"?'),
        ({"num_actions": 4}, "num_actions is 4; darkroom has 5"),
        ({"dim_states": 3}, "dim_states is 3; darkroom has 2"),
        ({"n_tasks": 3}, "n_tasks is 3; the goals of darkroom are all split: leave it out"),
        ({"env_options": {"arms": 3}}, "env_options"),
        ({"env": "bandit"}, "one that learns in bandit: ucb; got optimistic"),
        ({"env": "bandit", "alg": "ucb", "grid_size": 5}, 'unknown option "size" of the family bandit'),
        ({"env": "bandit", "alg": "ucb", "env_options": {"arm": 5}}, 'did you mean "arms"'),
        ({"dim_actions": 2}, "dim_actions is 2; darkroom has 1"),
        ({"max_reward": 19}, "returns of up to 20: leave it out, or set max_reward=20 or more"),
        ({"split": "9/9"}, "counted from 0, got 9/9"),
        ({"split": "0/9", "train_env_ratio": 0.5}, 'which the split "0/9" does not use'),
        ({"split": "all", "env_split_seed": 1}, 'which the split "all" does not use'),
        ({"train_env_ratio": 0.001}, "leaves no goal for training"),
        ({"alg": "qlearning"}, 'unknown source "qlearning" as alg, did you mean "q_learning"?'),
        ({"n_steps": 8}, "n_steps is given, which the source optimistic does not use: leave it out, or alg=ppo"),
        ({"source_lr": 0.1}, "leave it out, or alg=ppo or q_learning"),
        ({"n_episodes": 2, "total_source_timesteps": 1000}, "are both given"),
        ({"total_source_timesteps": 501}, "need a multiple of 2000"),
        ({"tf_n_head": 5}, "the width must be a multiple of 10"),
        ({"tf_n_head": 64}, "the width must be a multiple of 128"),
        ({"n_transit": 4, "n_slide": 5}, "n_slide is 5, more than the 4 transitions"),
        ({"compress_labels": 4}, "which nothing uses without a compressor"),
        ({"compressor": "recency"}, "it must be a mapping such as {name: recency, keep_recent: 10}, or null"),
        ({"compressor": {"keep_recent": 3}}, "compressor has no name"),
        (
            {"compressor": {"name": "recencey"}},
            'unknown compressor "recencey" as `compressor.name`, did you mean "recency"?',
        ),
        ({"compressor": {"name": "recency", "keep": 3}}, 'unknown option "keep"'),
        (
            {"compressor": {"name": "recency", "keep_recent": 0}},
            "expected `keep_recent` to be an integer of 1 or more, got 0",
        ),
    ],
)
def test_what_is_refused(values, message):
    with pytest.raises(InputError) as refused:
        Config.from_dict(values)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
