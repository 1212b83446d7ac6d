"""`keepmap attention` on many layers: a summary, a file of lines, pages of pictures, and the layers that are tested."""

import json
import re
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from keepmap.cli import main
from keepmap.commands.attention import visualize_attention
from keepmap.commands.looking import wings
from keepmap.language_model import load_language_model
from tests.commands.test_attention import BLOCK, files, small

__all__ = ["small"]  # a fixture


@pytest.fixture(scope="module")
def deep(tmp_path_factory) -> Path:
    """A language model of six layers, random."""
    folder = tmp_path_factory.mktemp("models") / "deep"
    torch.manual_seed(0)
    tiny = load_language_model("tiny")
    config = LlamaConfig(
        vocab_size=tiny.vocab_size,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    assert tiny.tokenizer is not None
    tiny.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def deeply(deep: Path, tmp_path, monkeypatch) -> list[str]:
    """A command on that model, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    texts = ["The code of river is 4821. The code of stone is 9310. The code of river is 4821.", "one two three " * 9]
    Path("data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return ["attention", "--model_name", str(deep), "--data_path", "data.jsonl", "--max_length", "40"]


def test_many_layers_are_summed_up_and_their_lines_are_in_a_file(deeply, capsys) -> None:
    capsys.readouterr()
    assert main(deeply) == 0
    out = capsys.readouterr().out
    assert "SUMMARY: 6 layers x 4 heads, 2 samples" in out and "OVERALL" in out
    assert "ANALYZING LAYER" not in out and len(out.splitlines()) < 50
    assert "Layer by layer, with the guide's block of each sample: figs/attention/attention_layers.txt\n" in out
    lines = Path("figs/attention/attention_layers.txt").read_text()
    assert len(BLOCK.findall(lines)) == 6 and "\nANALYZING LAYER 5\n================\n\nSample 1:\n" in lines
    grids = [
        f"attention_grid_sample{number}_{what}.png"
        for number in (0, 1)
        for what in ("effective_positions", "entropy", "sink_mass")
    ]
    pictures = [name for name in files(Path("figs/attention")) if name.endswith(".png")]
    assert pictures == [*grids, "attention_heads_sample0_layers0-5.png"]
    assert main([*deeply, "--verbose"]) == 0
    verbose = capsys.readouterr().out
    assert verbose.index("SUMMARY") < verbose.index("ANALYZING LAYER 0") < verbose.index("OVERALL")
    # A few layers have what they always had, and nothing is left of the many.
    assert main([*deeply, "--layers", "1", "2", "--overwrite"]) == 0
    assert "SUMMARY" not in capsys.readouterr().out
    names = files(Path("figs/attention"))
    assert "attention_layers.txt" not in names and "attention_heads_sample0_layers0-5.png" not in names
    assert "layer_2/attention_summary_layer2.png" in names


def test_quiet_prints_the_suggestion_and_where_all_is(deeply, small, capsys) -> None:
    capsys.readouterr()
    assert main([*deeply, "--quiet", "--verify", "--layers", "0"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("\nOVERALL\n=======\n") and "Verification: " in captured.out
    assert len(captured.out.splitlines()) < 16 and captured.err == ""
    assert "This is the one to use" not in captured.out
    assert main(["attention", "--quiet", "--samples", "1"]) == 0
    assert "ANALYZING" not in capsys.readouterr().out
    assert main(["attention", "--quiet", "--verbose"]) == 2
    assert "expected one of --verbose and --quiet to be given, got both" in capsys.readouterr().err


def test_the_result_is_there_before_the_verification_starts(deeply, capsys, monkeypatch) -> None:
    before: list[dict[str, object]] = []

    def stopped(*_: object, **given: object) -> None:
        before.append(json.loads(Path("figs/attention/attention.json").read_text()) | {"tested": given["layers"]})
        raise KeyboardInterrupt

    monkeypatch.setattr(wings, "verify_texts", stopped)
    with pytest.raises(KeyboardInterrupt):
        visualize_attention(model_name=deeply[2], data_path="data.jsonl", max_length=40, verify=True)
    (result,) = before
    assert len(result["layers"]) == 6 and "verification" not in result  # type: ignore[arg-type]
    assert len(result["tested"]) == 4, "the layers that tell most"  # type: ignore[arg-type]
    plan, interrupted = capsys.readouterr().err.splitlines()[-2:]
    assert interrupted == "Interrupted: 0 parts of the test by deletion finished"
    assert re.fullmatch(
        r"Deletions in 4 layers of 6 \(\d(, \d)+; --layers names others\): at most 166 passes, "
        r"about (a minute|\d+ min)",
        plan,
    )


def test_titles_have_the_models_label_and_no_path(deeply, deep, capsys) -> None:
    assert main([*deeply, "--format", "svg", "--samples", "1"]) == 0
    assert main([*deeply, "--format", "svg", "--samples", "1", "--layers", "0", "--output_dir", "few"]) == 0
    pictures = [path for folder in ("figs", "few") for path in Path(folder).rglob("*.svg")]
    assert len(pictures) == 4 + 6
    for picture in pictures:
        text = picture.read_text()
        assert "· deep" in text and str(deep.parent) not in text, picture
