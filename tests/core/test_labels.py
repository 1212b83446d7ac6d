"""A model is shown by its name, never by its place."""

import pytest

from keepmap.core.labels import model_label


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("tiny", "tiny"),
        ("/home/me/models/mine", "mine"),
        ("/home/me/models/mine/", "mine"),
        ("models/mine.gguf", "mine.gguf"),
        ("C:\\models\\mine", "mine"),
        ("HuggingFaceTB/SmolLM2-135M", "SmolLM2-135M"),
        ("LlamaForCausalLM", "LlamaForCausalLM"),
        ("/home/me/runs/AD-darkroom-seed0/ckpt-1500", "AD-darkroom-seed0/ckpt-1500"),
        ("out\\checkpoint-500", "out/checkpoint-500"),
        ("ckpt-10", "ckpt-10"),
        (".", "."),
        ("", "unnamed"),
        (None, "unnamed"),
    ],
)
def test_a_model_is_named_by_its_label_and_never_by_a_path(name: str | None, label: str) -> None:
    assert model_label(name) == label
