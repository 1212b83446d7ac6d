"""Whatever a loader raises is one line; errors of our own pass."""

import json
import shutil

import pytest

from keepmap.errors import InputError, ModelError
from keepmap.language_model import load_language_model
from keepmap.language_model.explained import explained


def raising(error):
    def load():
        raise error

    return load


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("no file\nof that name"), "no file"),
        (TypeError("a list"), "TypeError: a list"),
        (AttributeError("'int' object has no attribute 'x'"), "AttributeError: 'int' object has no attribute 'x'"),
        (ImportError("needs tiktoken."), "ImportError: needs tiktoken"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (RecursionError("maximum recursion depth exceeded"), "maximum recursion depth exceeded"),
        (Exception("No such option"), "Exception: No such option"),
        (
            ValueError("Validation error for field 'x':\n    TypeError: got a list\n"),
            "Validation error for field 'x': TypeError: got a list",
        ),
        (ValueError("nothing else:"), "nothing else"),
    ],
    ids=str,
)
def test_any_error_of_a_loader_is_one_line(error, reason):
    with pytest.raises(ModelError) as raised:
        explained(raising(error), "m", "config")
    assert str(raised.value) == (
        f'cannot load the config of model "m": {reason}; '
        "check the name and the connection, or give the folder of a saved model"
    )


def test_our_own_errors_pass():
    with pytest.raises(InputError, match="^as it is$"):
        explained(raising(InputError("as it is")), "m", "config")


KEYS = ("architectures", "model_type", "hidden_act", "rope_parameters", "num_attention_heads", "num_key_value_heads",
        "dtype", "rms_norm_eps", "vocab_size", "tie_word_embeddings", "text_config", "quantization_config")  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_broken_config_is_one_line(tmp_path, model_folder, key):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    messages = []
    for value in (None, "x", -1, 0, 1.5, [], {}, {"a": 1}, [1]):
        (folder / "config.json").write_text(json.dumps({**config, key: value}))
        try:
            load_language_model(folder)
        except ModelError as error:
            messages.append(str(error))
    assert not any("\n" in message for message in messages)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "[" * 100_000),
        ("config.json", "3"),
        ("config.json", '{"model_type": []}'),
        ("tokenizer.json", "{}"),
        ("tokenizer_config.json", '{"tokenizer_class": 3}'),
        ("tokenizer_config.json", '{"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": "x"}'),
    ],
)
def test_broken_files_of_a_model_are_one_line(tmp_path, model_folder, name, content):
    folder = tmp_path / "model"
    shutil.copytree(model_folder, folder)
    (folder / name).write_text(content)
    with pytest.raises(ModelError, match="^cannot load the (config|tokenizer|weights) of model .*$"):
        load_language_model(folder)
