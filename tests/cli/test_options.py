"""The records of options are the parameters of the functions that verbs call: same names, same defaults."""

import inspect
from dataclasses import MISSING, fields
from types import SimpleNamespace

import pytest

from keepmap.cli.verbs import INVERTED, NO_PARAMETER, RENAMED, VERBS
from keepmap.errors import ModelError, OutputError

COVERS = ("keepmap.cli.asking", "keepmap.cli.generating", "keepmap.cli.reporting", "keepmap.cli.verbs")


def equal(default: object, parameter: object) -> bool:
    """Whether two defaults say the same: a function also takes a single value where several can be given."""
    if isinstance(default, tuple) and not isinstance(parameter, tuple):
        return default == (parameter,)
    return default == parameter and type(default) is type(parameter)


@pytest.mark.parametrize("name", VERBS)
def test_a_record_holds_the_parameters_of_its_function(name: str) -> None:
    verb = VERBS[name]
    options = {
        RENAMED.get(field.name, field.name): (not field.default if field.name in INVERTED else field.default)
        for field in fields(verb.record)
        if field.name not in NO_PARAMETER
    }
    parameters = {
        parameter.name: MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        for parameter in inspect.signature(verb.function()).parameters.values()
    }
    assert list(options) == list(parameters)
    assert [name for name, default in options.items() if not equal(default, parameters[name])] == []


@pytest.mark.parametrize("name", VERBS)
def test_what_a_function_is_called_with(name: str) -> None:
    verb = VERBS[name]
    required = {field.name: "given" for field in fields(verb.record) if field.default is MISSING}
    arguments = verb.arguments(verb.record(**required))
    assert list(arguments) == list(inspect.signature(verb.function()).parameters)
    assert arguments.get("visualize_first_sample", True) is True
    if name == "compare":
        assert verb.arguments(verb.record(data_path="x", no_visualize=True))["visualize_first_sample"] is False


def test_defaults_that_differ_are_noticed() -> None:
    assert equal(("all",), "all") and equal((), ()) and equal(None, None)
    assert not equal(("all",), "some") and not equal(0, False) and not equal((), None) and not equal(1, 1.0)


def test_what_cannot_be_a_folder_is_refused_before_anything_is_imported(tmp_path):
    (tmp_path / "file").touch()
    folders = {name for name, verb in VERBS.items() if verb.folder is not None}
    assert folders == {
        *("attention", "compare", "compressors", "evaluate", "generate", "study", "sweep", "tasks", "train-surrogate")
    }
    for verb in (VERBS[name] for name in folders):
        parameter = verb.folder
        for given in (tmp_path / "new", None):
            verb.check(SimpleNamespace(**{parameter: given}))
        with pytest.raises(OutputError, match=f"file is a file, not a folder; name another with `{parameter}`$"):
            verb.check(SimpleNamespace(**{parameter: tmp_path / "file"}))


def test_a_model_of_no_size_is_refused_before_anything_is_imported(tmp_path):
    (tmp_path / "config.json").write_text('{"num_hidden_layers": 1000000000000}')
    verb = VERBS["compare"]
    with pytest.raises(ModelError, match=f'^model "{tmp_path}" with num_hidden_layers 1,000,000,000,000 would take'):
        verb.check(SimpleNamespace(output_dir=None, model_name=str(tmp_path)))
    for other in (str(tmp_path / "none"), "a\0b", "a" * 5000, None):
        assert verb.check(SimpleNamespace(output_dir=None, model_name=other)) is None
