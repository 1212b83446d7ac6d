"""How much memory there is, and what does not go into it."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from keepmap.core.outside.memory import control_group_limits, memory_there_is, require_memory, size_text, within_memory
from keepmap.errors import InputError, ModelError


def test_there_is_what_the_machine_has_or_less() -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**28 < memory_there_is() <= machine


def test_what_does_not_go_into_it_is_one_line_with_both_sizes() -> None:
    require_memory(memory_there_is(), "this", "go on")
    with pytest.raises(InputError, match=r"^this would take 888 PiB of memory, and there is [\d.]+ .iB; lower it$"):
        require_memory(10**18, "this", "lower it")
    with pytest.raises(ModelError, match=r"^this would take 3 GiB of memory, and the GPU has 2 GiB; lower it$"):
        require_memory(3 * 2**30, "this", "lower it", ModelError, there_is=2 * 2**30)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()], ids=str)
def test_where_memory_ends_it_is_one_line(error: Exception) -> None:
    line = "^this does not go into the memory of cuda:0; lower it$"
    with pytest.raises(ModelError, match=line), within_memory("this", "cuda:0", "lower it"):
        raise error
    with pytest.raises(ModelError, match=line), within_memory("this", "cuda:0", "lower it"):
        torch.empty(2**55)  # of no class of its own
    with pytest.raises(RuntimeError, match="^another$"), within_memory("this", "cpu", "lower it"):
        raise RuntimeError("another")


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "3000", "memory.max": "5000"}, [3000, 5000]),
        ("0::/elsewhere/of/the/host\n", {"memory.max": "4096\n"}, [4096]),
        ("3:cpu,memory:/x\n1:pids:/x\n", {"memory/x/memory.limit_in_bytes": "7000"}, [7000]),
        ("3:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, []),
        ("0::/\n", {"memory.max": "0"}, []),
        ("", {}, []),
    ],
)
def test_limits_of_control_groups(tmp_path: Path, groups: str, files: dict[str, str], limits: list[int]) -> None:
    (tmp_path / "cgroup").write_text(groups)
    for name, content in files.items():
        (tmp_path / "sys" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys" / name).write_text(content)
    assert list(control_group_limits(tmp_path / "cgroup", tmp_path / "sys")) == limits
    assert list(control_group_limits(tmp_path / "nothing", tmp_path / "sys")) == []


@given(st.floats(0, 1e40))
def test_sizes_are_short(size: float) -> None:
    assert size_text(10**400) == "more than 1,000 PiB", "what no float holds"
    text = size_text(size)
    assert len(text) <= 19 and "e+" not in text
