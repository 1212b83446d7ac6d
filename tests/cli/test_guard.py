"""Errors become one line and an exit code, and name options where the library names parameters."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepmap.cli.guard import Option, guarded, in_options, naming_options
from keepmap.cli.verbs import VERBS
from keepmap.errors import InputError, OutputError

OPTIONS = (
    Option("max_length", "max_length"),
    Option("density", "density"),
    Option("dtype", "dtype"),
    Option("layers", "layers"),
    Option("thresholds", "thresholds"),
    Option("set", "settings"),
    Option("verify", "verify", flag=True),
    Option("no_visualize", "visualize_first_sample", flag=True, inverted=True),
)
NAMES = [option.parameter for option in OPTIONS]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("the text has 300 tokens; max_length=256 cuts it", "the text has 300 tokens; --max_length 256 cuts it"),
        ("max_length=0: expected 1 or more", "--max_length 0: expected 1 or more"),
        ("expected `max_length` to be an integer, got a list", "expected --max_length to be an integer, got a list"),
        ("use `density` (density=0.2), or leave `dtype` out.", "use --density (--density 0.2), or leave --dtype out."),
        ("give density=0.2, or density=-1.", "give --density 0.2, or --density -1."),
        ("try density=0.2!", "try --density 0.2!"),
        ("density=1e-3 is small", "--density 1e-3 is small"),
        # Values in Python's spelling become those of a shell.
        ('try dtype="float32"', "try --dtype float32"),
        ("try dtype='float32';", "try --dtype float32;"),
        ('dtype="a b" is not supported', "--dtype 'a b' is not supported"),
        ("layers=[0, 1] are both", "--layers 0 1 are both"),
        ("layers=(0,) is one", "--layers 0 is one"),
        ('thresholds={"kvzap": -7} names', "--thresholds '{\"kvzap\": -7}' names"),
        ("max_length=None cuts nothing", "--max_length None cuts nothing"),
        # Options with another name, and flags.
        ('settings="lr.x=3": lr has no parts', "--set lr.x=3: lr has no parts"),
        ('`settings` or settings=["lr=1", "b=2"]', "--set or --set lr=1 b=2"),
        ("verify=True needs texts", "--verify needs texts"),
        ("verify=False is usual", "verify=False is usual"),
        ("visualize_first_sample=False draws nothing", "--no_visualize draws nothing"),
        ("visualize_first_sample=True is usual", "visualize_first_sample=True is usual"),
        # Code, quotations and other words stay.
        ("call keepmap.evict(model, ids, density=0.2)", "call keepmap.evict(model, ids, density=0.2)"),
        ("call f(g(1), density=0.2), then density=0.3", "call f(g(1), density=0.2), then --density 0.3"),
        ("call f((1, density=0.2))", "call f((1, density=0.2))"),
        ("call f(`density`)", "call f(`density`)"),
        ("methods=[Mine(density=0.2)]", "methods=[Mine(density=0.2)]"),
        ("{density=0.2} (in {density=0.3})", "{density=0.2} (in {density=0.3})"),
        ("density=Density(0.2) is an object", "density=Density(0.2) is an object"),
        ("run `keepmap compare density=0.2`", "run `keepmap compare density=0.2`"),
        ('the setting "density=0.2" is unknown', 'the setting "density=0.2" is unknown'),
        ("the setting 'density=0.2' is unknown", "the setting 'density=0.2' is unknown"),
        ("`density=0.2` is code", "`density=0.2` is code"),
        ("the users' density=0.2 isn't", "the users' --density 0.2 isn't"),
        ("--density=0.2 and x.density=0.2", "--density=0.2 and x.density=0.2"),
        ("runs/density=0.2/x and my-density=1", "runs/density=0.2/x and my-density=1"),
        ("`window` and window=3 and densityx=1", "`window` and window=3 and densityx=1"),
        ("density = 0.2, density==0.2, density", "density = 0.2, density==0.2, density"),
        (") density=1 (", ") --density 1 ("),
        ("", ""),
    ],
)
def test_messages(message: str, shown: str) -> None:
    assert in_options(message, OPTIONS) == shown


def test_words_of_the_user_stay_wherever_they_are_repeated() -> None:
    typed = ["compare", "--output_dir=density=0.2", "--data_path", "max_length=3.jsonl", "--seed", "1"]
    message = "cannot write into density=0.2: density=0.2 is a file; no max_length=3.jsonl; `density` or density=0.3"
    assert in_options(message, OPTIONS, typed) == (
        "cannot write into density=0.2: density=0.2 is a file; no max_length=3.jsonl; --density or --density 0.3"
    )


def test_without_options_nothing_changes() -> None:
    assert in_options("`density` and density=0.2", ()) == "`density` and density=0.2"


words = st.text(alphabet=string.ascii_letters + string.digits + " .,;:!?_=()[]{}<>/\\-'`", max_size=30)
prose = st.lists(st.text(alphabet=string.ascii_lowercase, min_size=1, max_size=8), min_size=1, max_size=6).map(" ".join)
parameters = st.sampled_from(NAMES[:5])
numbers = st.one_of(st.integers(-1000, 1000), st.floats(-10, 10).map(lambda value: round(value, 3))).map(str)


@pytest.mark.parametrize("value", ["a[b", "a(b", "[31mx", "a]b", "{", "(]"])
def test_a_bracket_without_its_other_half_is_of_a_value(value: str) -> None:
    message = f"`density` is {value} there; give `density`, not f(density=1)"
    assert in_options(message, OPTIONS) == f"--density is {value} there; give --density, not f(density=1)"


@given(before=prose, quoted=words, after=prose)
def test_quoted_text_is_never_touched(before: str, quoted: str, after: str) -> None:
    message = f'{before} "{quoted}" {after}'
    assert in_options(message, OPTIONS) == message


@given(before=prose, name=parameters, value=numbers, depth=st.integers(1, 4), after=prose)
def test_a_call_is_never_touched(before: str, name: str, value: str, depth: int, after: str) -> None:
    call = "keepmap.evict(model, " * depth + f"{name}={value}, `{name}`" + ")" * depth
    message = f"{before}, {call}: {after}"
    assert in_options(message, OPTIONS) == message
    # What comes after the call is prose again.
    assert in_options(f"{message} {name}={value}", OPTIONS) == f"{message} --{name} {value}"


@given(before=prose, name=parameters, value=numbers, after=prose, end=st.sampled_from(list(";,:.!?)") + [""]))
def test_a_parameter_in_prose_is_always_an_option(before: str, name: str, value: str, after: str, end: str) -> None:
    message = f"{before} {name}={value}{end} {after} `{name}` {after}"
    assert in_options(message, OPTIONS) == f"{before} --{name} {value}{end} {after} --{name} {after}"


@given(message=st.text(max_size=60), typed=st.lists(st.text(max_size=8), max_size=3))
def test_a_message_without_the_names_of_options_stays(message: str, typed: list[str]) -> None:
    assert in_options(message, [Option("qqqq", "qqqq")], typed) == message


@given(st.data(), st.lists(words, max_size=3))
def test_a_changed_message_is_not_changed_again(data: st.DataObject, typed: list[str]) -> None:
    pieces = st.one_of(words, parameters.map("`{}`".format), st.builds("{}={}".format, parameters, numbers))
    message = " ".join(data.draw(st.lists(pieces, max_size=6)))
    shown = in_options(message, OPTIONS, typed)
    assert in_options(shown, OPTIONS, typed) == shown


def test_every_verb_names_its_own_options() -> None:
    compare = tuple(VERBS["compare"].options())
    assert in_options("`methods`, `settings`, `plugin`", compare) == "--methods, `settings`, `plugin`"
    train = tuple(VERBS["train"].options())
    assert in_options("`methods`, `settings`, tensorboard=True", train) == "`methods`, --set, --tensorboard"
    assert tuple(VERBS["methods"].options()) == ()
    assert (
        in_options("`path`", VERBS["evaluate"].named())
        == in_options("`path`", VERBS["study"].named())
        == "--checkpoint"
    )
    deeper = "`window`, window=-1, `model`"
    assert (
        in_options(deeper, VERBS["compare"].named()) == "--sliding_window_size, --sliding_window_size -1, --model_name"
    )
    assert in_options(deeper, VERBS["attention"].named()) == "`window`, window=-1, --model_name"
    assert in_options(deeper, VERBS["train"].named()) == deeper


@pytest.mark.parametrize("kind", [InputError, OutputError])
def test_an_error_leaves_with_the_names_of_options(kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught, naming_options(OPTIONS, []):
        raise kind("density=2: expected `density` in [0, 1]")
    assert str(caught.value) == "--density 2: expected --density in [0, 1]"


def test_errors_of_others_pass() -> None:
    with pytest.raises(ZeroDivisionError, match="`density`"), naming_options(OPTIONS, []):
        raise ZeroDivisionError("`density`")


def test_exit_codes(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise InputError("two\n lines")

    def stops() -> int:
        raise KeyboardInterrupt

    def breaks() -> int:
        raise ZeroDivisionError

    assert guarded(lambda: 7) == 7
    assert guarded(fails) == 2
    assert guarded(stops) == 130
    assert capfd.readouterr() == ("", "error: two lines\n")
    with pytest.raises(ZeroDivisionError):
        guarded(breaks)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PermissionError(13, "Permission denied", "secret"), "error: Permission denied: 'secret'"),
        (OSError(36, "File name too long"), "error: File name too long"),
        (OSError("some\nlines"), "error: some lines"),
        (OSError(), "error: OSError"),
        (MemoryError(), "error: there is not enough memory"),
        (MemoryError("Unable to allocate 8 GiB"), "error: Unable to allocate 8 GiB"),
    ],
)
def test_what_the_system_refuses_is_one_line(capfd, error: Exception, line: str) -> None:
    def work() -> int:
        raise error

    assert guarded(work) == 2
    assert capfd.readouterr() == ("", f"{line}\n")


def test_an_error_is_one_line_of_no_more_than_400_letters_without_a_terminal_s_sequences(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fails(error: Exception) -> int:
        raise error

    for error in (
        InputError(f"no file \x1b[2J\u202e{'x' * 1000}\n; give one"),
        OSError(2, "No such file or directory\x1b[2J", "\x1b[2J" + "x" * 1000),
        MemoryError("\x1b[2J" * 200),
    ):
        assert guarded(lambda error=error: fails(error)) == 2
        out, err = capfd.readouterr()
        assert out == "" and err.startswith("error: ") and err.endswith("\n") and err.count("\n") == 1
        assert len(err) <= 401 and err[:-1].isprintable() and "\\x1b[2J" in err


def test_options_are_named_before_a_message_is_shortened() -> None:
    with pytest.raises(InputError) as caught, naming_options(OPTIONS, []):
        raise InputError(f"no file {'x' * 1000}; give `density`, or density=0.2")
    assert str(caught.value).endswith("xxx; give --density, or --density 0.2")
