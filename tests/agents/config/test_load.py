"""Files and settings: where they are found, what wins, and how faults in them are told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keepmap.agents.config import DEFAULT, KEYS, Config, load_config
from keepmap.agents.config.load import apply_setting, as_config_files
from keepmap.agents.config.yaml_files import packaged_names
from keepmap.errors import InputError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_the_defaults_are_the_default_files():
    assert load_config() == load_config(DEFAULT) == load_config(()) == Config()


def test_one_file_and_one_setting_need_no_list():
    assert load_config("config/env/darkroom.yaml", "n_transit=5") == load_config(
        ["config/env/darkroom.yaml"], ["n_transit=5"]
    )


@pytest.mark.parametrize(("paths", "shown"), [(5, "5"), ([5], "5 among them"), ({"a"}, "a set")])
def test_what_names_no_files(paths, shown):
    with pytest.raises(InputError, match=f"^expected `paths` to be YAML files, got {shown}$"):
        as_config_files("paths", paths)


def test_the_files_of_the_package():
    names = packaged_names()
    assert len(names) == 15 and set(DEFAULT) <= set(names)
    for name in names:
        if name != "config/algorithm/ppo_base.yaml":
            load_config([name])
    hard = load_config(["config/env/dark_key_to_door.yaml", "config/model/ad_dktd.yaml"])
    assert (hard.env, hard.horizon, hard.n_transit, hard.tf_n_embd) == ("dark_key_to_door", 50, 200, 64)
    ppo = load_config(["config/algorithm/ppo_darkroom.yaml"])
    assert (ppo.alg, ppo.alg_seed, ppo.source_episodes(), ppo.policy) == ("ppo", 42, 50, "MlpPolicy")


def test_files_of_the_user_come_before_the_packages():
    write("config/model/ad_dr.yaml", "n_transit: 7")
    assert load_config().n_transit == 7


def test_included_first_later_wins_settings_last():
    write("base.yaml", "n_transit: 1\nlr: 0.1\nbeta1: 0.1\ntf_n_layer: 1")
    write("deep/more.yaml", "include: ../base.yaml\nlr: 0.2\nbeta1: 0.2")
    write("top.yaml", "beta1: 0.3\ninclude: [config/model/ad_dr.yaml, deep/more.yaml]")
    write("last.yaml", "tf_n_layer: 3")
    config = load_config(["top.yaml", "last.yaml"], ["tf_n_layer=4", "tf_n_layer=5"])
    assert (config.n_transit, config.lr, config.beta1, config.tf_n_layer) == (1, 0.2, 0.3, 5)
    # A diamond is no circle.
    write("both.yaml", "include: [base.yaml, deep/more.yaml]")
    assert load_config(["both.yaml"]).lr == 0.2


def test_numbers_are_those_of_yaml_1_2():
    write("a.yaml", 'lr: 1e-3\nn_transit: 64.0\ntf_n_layer: "3"\nflash_attn: False\nn_episodes: null\nhorizon: 2e1')
    config = load_config(["a.yaml"])
    assert (config.lr, config.n_transit, config.tf_n_layer, config.flash_attn) == (0.001, 64, 3, False)
    assert config.n_episodes is None and config.horizon == 20 and isinstance(config.n_transit, int)


def test_settings_of_a_compressor():
    whole = load_config(settings=["compressor={name: recency, keep_recent: 10}"])
    parts = load_config(settings=["compressor.name=recency", "compressor.keep_recent=10"])
    assert whole == parts and whole.make_compressor().max_length == 10
    write("c.yaml", "compressor: {name: uniform, target_length: 5}")
    assert load_config(["c.yaml"], ["compressor.target_length=6"]).make_compressor().max_length == 6
    assert load_config(["c.yaml"], ["compressor=null"]).compressor is None


def test_text_in_settings_needs_no_quotes():
    assert load_config(settings=["log_dir=2024"]).log_dir == "2024"
    assert load_config(settings=["log_dir=a=b"]).log_dir == "a=b"
    assert load_config(settings=["log_dir=null"]).log_dir is None
    assert load_config(settings=[" lr = 1e-2 "]).lr == 0.01


CASES = [
    ("n_transits: 10", 'a.yaml: unknown key "n_transits", did you mean "n_transit"?'),
    ("n_transit: ten", 'a.yaml: n_transit is "ten"; it must be a whole number from 1'),
    ("lr: 1\nlr: 2", 'a.yaml (line 2): not usable as YAML: the key "lr" a second time'),
    ("compressor: {name: a, name: b}", 'the key "name" a second time'),
    ("a: [", "a.yaml (line 1): not usable as YAML"),
    ("lr: 1\n  x: y", "a.yaml (line 2): not usable as YAML"),
    ("lr: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
    ("? [a]\n: 1", "a key that is not a word"),
    ("", "a.yaml is empty; it must be a mapping"),
    ("- 1", "a.yaml is a list; it must be a mapping"),
    ("just text", "a.yaml is a str; it must be a mapping"),
    ("1: 2", 'a.yaml: unknown key "1"'),
    ("dynamics: False", 'a.yaml: the key "dynamics" has no meaning here: the model predicts actions alone'),
    ("include: nowhere.yaml", "a.yaml includes nowhere.yaml: no such file"),
    ("include: 3", "a.yaml: include must be the name of a file, or a list of names"),
    ("include: ''", "empty name"),
    (f"include: {'a' * 300}", ": File name too long"),
    ("include: a.yaml", "a.yaml includes a.yaml: a circle; break it"),
    ("include: b/b.yaml", "a.yaml includes b/b.yaml includes b/../a.yaml: a circle; break it"),
    ("lr: \0", "a.yaml: not usable as YAML"),
    ("[" * 5000, "a.yaml: not usable as YAML"),
    ("n_transit: " + "9" * 5000, "n_transit is "),
    ("a: &a [0,0]\nb: &b [*a,*a]\nc: &c [*b,*b]\nlr: [*c,*c]", 'unknown key "a"'),
    ("lr: &l [*l]", "lr is"),
]


@pytest.mark.parametrize(("text", "message"), CASES)
def test_a_file_that_is_refused(text, message):
    write("a.yaml", text)
    write("b/b.yaml", "include: ../a.yaml")
    with pytest.raises(InputError) as refused:
        load_config(["a.yaml"])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value) and len(str(refused.value)) <= 400


def test_files_that_are_none(here):
    (here / "folder.yaml").mkdir()
    (here / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name, text in (
        ("folder.yaml", "is a folder"),
        ("binary.yaml", "is not UTF-8 text"),
        ("config/model/ad_rd.yaml", 'did you mean "config/model/ad_dr.yaml"?'),
        ("config/../config/model/ad_dr.yaml", "no such file"),
        ("", "empty name"),
    ):
        with pytest.raises(InputError, match="^[^\n]*$") as refused:
            load_config([name])
        assert text in str(refused.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("n_transit", 'expected name=value, as n_transit=10, got the setting "n_transit"'),
        ("=3", "expected name=value"),
        ("n_transits=3", 'settings="n_transits=3": unknown key "n_transits", did you mean "n_transit"?'),
        ("n_transit=", 'settings="n_transit=": n_transit is nothing'),
        ("n_transit=1.5", 'settings="n_transit=1.5": n_transit is 1.5'),
        ("lr.x=3", 'settings="lr.x=3": lr has no parts'),
        ("compressor.=3", "compressor has no parts"),
        ("compressor=[", "not usable as YAML"),
        ("include=a.yaml", 'unknown key "include"'),
        ("n_process=8", "remove the key"),
    ],
)
def test_a_setting_that_is_refused(setting, message):
    with pytest.raises(InputError) as refused:
        load_config(settings=[setting])
    assert message in str(refused.value) and "\n" not in str(refused.value)


@given(st.sampled_from(sorted(KEYS)) | st.text(max_size=12), st.text(max_size=20))
@example("lr", "0x")
@example("compressor.name", "&a [*a]")
@example("lr", "! ")
def test_any_setting_is_read_or_refused_in_one_line(name, text):
    values: dict[str, object] = {}
    message = ""
    try:
        apply_setting(values, f"{name}={text}")
        Config.from_dict(values)
    except InputError as error:
        message = str(error)
    assert len(message.splitlines()) <= 1


@given(st.floats(1e-6, 1e6), st.integers(1, 10**6), st.booleans())
def test_settings_hold_what_was_meant(number, whole, flag):
    config = load_config(settings=[f"lr={number}", f"n_transit={whole}", f"flash_attn={flag}"])
    assert (config.lr, config.n_transit, config.flash_attn) == (number, whole, flag)


def test_a_configuration_alone_loads_no_torch():
    code = "import sys; from keepmap.agents.config import load_config; load_config(); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, timeout=60)
    assert done.returncode == 0
