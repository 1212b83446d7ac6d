"""What is no executor is one line; what is one stays the user's."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from keepmap.core.executors.choice import as_executor, opened_executor
from keepmap.errors import InputError


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (3, 'expected `executor` to be an Executor of concurrent.futures, "ray" or "ray://HOST:PORT", got an int'),
        (ThreadPoolExecutor, "got the class ThreadPoolExecutor; call ThreadPoolExecutor"),
        ("rya", 'got "rya"; did you mean "ray"?'),
        ("dask", 'got "dask"$'),
        ("", 'got ""$'),
        ("ray://", 'as "ray://head-node:10001", got "ray://"'),
        ("ray://head", "to name a host and a port"),
        ("ray://head:0", "to name a host and a port"),
        ("ray://head:99999", "to name a host and a port"),
        ("ray://:10001", "to name a host and a port"),
    ],
)
def test_what_is_no_executor(value: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_executor("executor", value)


def test_words_and_executors_pass() -> None:
    with ThreadPoolExecutor(1) as executor:
        values = (None, executor, "ray", "ray://head:10001", "ray://[::1]:10001")
        assert [as_executor("executor", value) for value in values] == list(values)


def test_an_executor_of_the_users_stays_open_and_has_its_own_workers() -> None:
    with ThreadPoolExecutor(1) as executor:
        with opened_executor(executor, None, 1, "cpu") as opened:
            assert opened is executor
        assert executor.submit(int).result() == 0
        with (
            pytest.raises(InputError, match="got `workers` and an `executor`, which has its own workers"),
            opened_executor(executor, 2, 1, "cpu"),
        ):
            pass
    with opened_executor(None, None, 1, "cpu") as opened:
        assert opened is None


def test_a_missing_ray_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(InputError, match=r"`executor` needs ray, which is not installed: pip install 'keepmap\[ray\]'"),
        opened_executor("ray", None, 1, "cpu"),
    ):
        pass
