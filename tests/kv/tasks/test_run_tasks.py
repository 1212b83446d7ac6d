"""A run of tasks: answers are those of `generate` and `evict`, density 1 is the full cache, gates and units hold."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

import keepmap
from keepmap.errors import InputError, ModelError
from keepmap.kv.tasks import TaskSession, ask_all, card_of, plan_tasks
from keepmap.kv.tasks.asking.prompts import Prompts
from keepmap.kv.tasks.kinds.facts import Facts
from keepmap.kv.tasks.kinds.many_questions import ManyTurns
from keepmap.kv.tasks.making.haystack import documentation
from keepmap.kv.tasks.making.lengths import sample_of_length
from keepmap.kv.tasks.results.task_run import TaskRun
from keepmap.language_model import LanguageModel, load_language_model

COVERS = (
    "keepmap.kv.tasks.asking.*",
    "keepmap.kv.tasks.card",
    "keepmap.kv.tasks.plan",
    "keepmap.kv.tasks.run_tasks",
    "keepmap.kv.tasks.running",
    "keepmap.kv.tasks.session",
)
TEMPLATE = (
    "{% for m in messages %}<u>{{ m.content | trim }}</u>{% endfor %}{% if add_generation_prompt %}<a>\n{% endif %}"
)
TURNS = (
    "{% for m in messages %}{% if m.role == 'user' %}<u>{{ m.content | trim }}</u><a>{% else %}{{ m.content }}"
    "{% endif %}{% endfor %}"
)
CONTEXT = "The code of river is 4821. " * 3
OPTIONS = {
    "texts": None,
    "n_samples": 2,
    "length": 200,
    "n_sink": None,
    "window": 16,
    "mode": None,
    "chunk_size": 1,
    "question": "after",
    "gate": 0.8,
    "answers": "generated",
    "max_new_tokens": None,
    "chat_template": False,
    "seed": 0,
    "haystack": None,
    "qa_file": None,
}


@pytest.fixture(scope="module")
def tiny() -> LanguageModel:
    return load_language_model("tiny")


def session_of(tiny: LanguageModel, methods: str, density: object, **options: object) -> TaskSession:
    plan = plan_tasks(options.pop("tasks", "facts"), methods, density, **{**OPTIONS, **options})
    return TaskSession(plan, tiny)


def ask(session: TaskSession) -> TaskRun:
    return ask_all(session, {})


@pytest.fixture(scope="module")
def run(tiny: LanguageModel) -> TaskRun:
    return ask(session_of(tiny, "streaming_llm, h2o", (0.2, 1.0)))


def test_at_density_1_every_method_says_what_the_full_cache_and_generate_say(tiny: LanguageModel, run: TaskRun) -> None:
    full = run.of("facts", "full", 1.0)
    assert len(full) == 8 and run.gates["facts"].score == 1.0
    for method in ("streaming_llm", "h2o"):
        assert [row.answer for row in run.of("facts", method, 1.0)] == [row.answer for row in full]
        assert [row.nll for row in run.of("facts", method, 1.0)] == pytest.approx([row.nll for row in full], rel=1e-4)
    (prompt,) = session_of(tiny, "h2o", 0.2).prompts(Facts(), 0)
    for query, row in zip(prompt.queries, full, strict=False):
        ids = torch.cat([prompt.context, query.ids])
        output = tiny.model.generate(ids[None], max_new_tokens=len(query.target) + 8, do_sample=False)
        assert row.answer == tiny.tokenizer.decode(output[0, len(ids) :], skip_special_tokens=True)


@pytest.mark.parametrize("mode", ["decode", "once"])
def test_at_density_1_no_method_changes_an_answer(tiny: LanguageModel, mode: str) -> None:
    oracles = {name for name, method in keepmap.methods().items() if method.needs == "future"}  # no cache has them
    looking_ahead = oracles if mode == "once" else {"expected_attention", *oracles}
    names = sorted({*keepmap.methods()} - {"baseline", "random_validation", *looking_ahead})
    run = ask(
        session_of(
            tiny,
            ", ".join(names),
            (1.0,),
            tasks="kv_recall",
            n_samples=1,
            length=150,
            max_new_tokens=3,
            gate=0.0,
            mode=mode,
        )
    )
    full = [row.answer for row in run.of("kv_recall", "full", 1.0)]
    assert {name: [row.answer for row in run.of("kv_recall", name, 1.0)] for name in names} == dict.fromkeys(
        names, full
    )


@pytest.mark.parametrize("mode", ["decode", "once"])
def test_answers_and_what_is_kept_are_those_of_evict_and_generate(tiny: LanguageModel, mode: str) -> None:
    session = session_of(tiny, "h2o", 0.3, mode=mode)
    (prompt,) = session.prompts(Facts(), 1)
    rows = session.answers(Facts(), 1, session.ways)
    for query, row in zip(prompt.queries, rows, strict=True):
        before = torch.cat([prompt.context, query.ids])
        context_length = len(prompt.context) if mode == "once" else None
        options = {"density": 0.3, "n_sink": 4, "window": 16, "mode": mode, "context_length": context_length}
        eviction = keepmap.evict(tiny, torch.cat([before, query.target]), "h2o", **options)
        logits = eviction.logits[len(before) - 1 : -1]
        assert row.nll == pytest.approx(
            float(torch.nn.functional.cross_entropy(logits, query.target)), rel=1e-3, abs=1e-5
        )
        keep_map = keepmap.evict(tiny, before, "h2o", **options).keep_map
        positions = [position for span in query.evidence for position in span]
        kept = keep_map.kept()[:, :, positions].double()
        assert row.kept == pytest.approx(float(kept.mean()))
        assert row.by_head is not None and torch.allclose(torch.tensor(row.by_head).double(), kept.mean(2))
        assert row.ger == pytest.approx(float((kept.amax((0, 1)) == 0).double().mean()))
        assert (row.held, row.footprint) == pytest.approx((keep_map.density(), keep_map.footprint()))
        with keepmap.evicting(tiny, "h2o", **options):
            output = tiny.model.generate(before[None], max_new_tokens=len(query.target) + 8, do_sample=False)
        assert row.answer == tiny.tokenizer.decode(output[0, len(before) :], skip_special_tokens=True)


def test_a_token_whose_entries_are_all_gone_has_its_step(tiny: LanguageModel) -> None:
    session = session_of(tiny, "streaming_llm", 0.0)
    rows = session.answers(Facts(), 0, session.ways)
    (prompt,) = session.prompts(Facts(), 0)
    for query, row in zip(prompt.queries, rows, strict=True):
        (span,) = query.evidence
        # StreamingLLM drops a position when it leaves the window; sinks and the window stay.
        n = len(prompt.context) + len(query.ids)
        expected = [None if position < 4 or position >= n - 16 else position + 17 for position in span]
        assert row.deaths == tuple(expected)
        assert row.ger == sum(death is not None for death in expected) / len(span)


def test_evidence_is_where_its_tokens_say_with_a_chat_template_too(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny.tokenizer, "chat_template", TEMPLATE)
    for chat_template in (False, True):
        for inside in (False, True):
            prompts = Prompts(tiny, chat_template=chat_template, inside=inside)
            sample = sample_of_length(Facts(), 0, 0, 250, prompts.length, documentation())
            several = prompts.prompts(sample, "x", 8)
            assert len(several) == (4 if inside else 1)
            longest = max(len(prompt.context) + len(query.ids) for prompt in several for query in prompt.queries)
            assert 200 < longest <= 252
            for prompt in several:
                for query in prompt.queries:
                    assert query.question is not None
                    (span,) = query.evidence
                    stated = tiny.tokenizer.decode(prompt.context[list(span)])
                    assert query.question.answers[0] in stated and len(stated) < 40
                    whole = tiny.tokenizer.decode(torch.cat([prompt.context, query.ids]))
                    end = f"</u><a>\n{query.question.prefix.lstrip()}" if chat_template else query.question.prefix
                    assert whole.endswith(query.question.text + end) and whole.startswith("<u>") == chat_template


def test_what_is_looked_at_is_the_attention_of_the_last_query(tiny: LanguageModel, run: TaskRun) -> None:
    (prompt,) = session_of(tiny, "h2o", 0.2).prompts(Facts(), 0)
    own = tiny.model.config._attn_implementation
    tiny.model.set_attn_implementation("eager")
    for query, row in zip(prompt.queries, run.of("facts", "full", 1.0), strict=False):
        ids = torch.cat([prompt.context, query.ids])
        with torch.no_grad():
            attentions = torch.stack(tiny.model(ids[None], output_attentions=True).attentions)[:, 0, :, -1]
        wanted = float(attentions[:, :, [position for span in query.evidence for position in span]].sum(2).mean())
        assert row.mass == pytest.approx(wanted, rel=1e-4) and wanted > 0.01
    tiny.model.set_attn_implementation(own)
    # What is gone is not looked at.
    assert all(row.mass == 0.0 for row in run.of("facts", "streaming_llm", 0.2) if row.kept == 0.0)


@pytest.mark.parametrize("chat_template", [False, True])
def test_in_turns_a_question_comes_after_the_earlier_ones_and_their_answers(
    tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch, chat_template: bool
) -> None:
    monkeypatch.setattr(tiny.tokenizer, "chat_template", TURNS)
    task = ManyTurns(questions=3)
    session = session_of(tiny, "h2o", 0.3, tasks=task, chat_template=chat_template, length=400)
    (prompt,) = session.prompts(task, 0)
    (full, rows) = (session.answers(task, 0, ways) for ways in ([session.full], session.ways))
    before = prompt.context
    for query, row, own in zip(prompt.queries, full, rows, strict=True):
        before = torch.cat([before, query.ids[1:] if row.question else query.ids])
        options = {"density": 0.3, "n_sink": 4, "window": 16}
        for method, answer in (("baseline", row), ("h2o", own)):
            eviction = keepmap.evict(
                tiny, torch.cat([before, query.target]), method, **options if method == "h2o" else {}
            )
            logits = eviction.logits[len(before) - 1 : -1]
            wanted = float(torch.nn.functional.cross_entropy(logits, query.target))
            assert answer.nll == pytest.approx(wanted, rel=1e-3, abs=1e-5)
        before = torch.cat([before, query.target])
    words = tiny.tokenizer.decode(before)
    if chat_template:
        assert words.count("<u>") == 3 and words.count("</u><a>") == 3
    for query in prompt.queries:
        assert query.question is not None and query.question.text.strip() + ("</u>" if chat_template else "") in words
    with pytest.raises(InputError, match='expected `question` to be "after" in sample 0 of many_turns'):
        session_of(tiny, "h2o", 0.5, tasks=task, question="inside", length=400).prompts(task, 0)


def test_what_the_model_cannot_do_is_named_and_in_no_row(tiny: LanguageModel) -> None:
    session = session_of(tiny, "h2o", 0.5, tasks="facts niah_single_1", n_samples=1)
    run = ask(session)
    assert run.tasks == ("facts",) and run.not_informative == ("niah_single_1",)
    assert {row["task"] for row in run.rows} == {"facts"} and "not informative: niah_single_1" in repr(run)
    assert not run.of("niah_single_1", "h2o") and run.of("niah_single_1", "full")
    with pytest.raises(InputError, match=r"no task is informative for tiny: .*niah_single_1 0%.*gate=0.8"):
        ask(session_of(tiny, "h2o", 0.5, tasks="niah_single_1", n_samples=1))


def test_what_is_recorded_is_not_asked_again(tiny: LanguageModel) -> None:
    session = session_of(tiny, "streaming_llm", 0.2, n_samples=1)
    records: dict[str, str] = {}
    done: list[str] = []

    def once(name, work):
        if name not in records:
            done.append(name)
            records[name] = json.dumps(work())
        return json.loads(records[name])

    named: list[str] = []
    shares: list[float] = []
    first = ask_all(session, {}, once, shares.append, named.extend)
    assert done == ["answers/facts_00000_full.json", "answers/facts_00000.json"]
    assert named == done[1:] and shares == [0.5, 1.0]
    again = ask_all(session, {}, once)
    assert len(done) == 2 and again == first
    assert first == ask(session)


def test_one_pass_bounds_what_generating_scores(tiny: LanguageModel, run: TaskRun) -> None:
    forced = ask(session_of(tiny, "streaming_llm, h2o", (0.2, 1.0), answers="teacher_forced"))
    for bound, row in zip(forced.answers, run.answers, strict=True):
        assert bound.answer is None and bound.n_new == 0 and (bound.nll, bound.kept) == (row.nll, row.kept)
        assert bound.score is not None and row.score is not None and bound.score <= row.score
        assert not bound.exact or row.exact
    assert any(bound.score for bound in forced.answers if bound.method != "full")


def test_texts_are_a_task_whose_second_half_is_predicted(tiny: LanguageModel) -> None:
    text = "The sky is blue. The grass is green. Here we go. There and back again. " * 4
    run = keepmap.sweep(tiny, "facts", "h2o", density=0.2, texts=text, n_samples=1, length=150, window=16, mode="once")
    (row,) = run.of("text", "h2o", 0.2)
    ids = torch.tensor(tiny.tokenizer.encode(text)[:150])
    half = len(ids) // 2
    options = {"density": 0.2, "n_sink": 4, "window": 16, "mode": "once", "context_length": half - 1}
    logits = keepmap.evict(tiny, ids, "h2o", **options).logits[half - 1 : -1]
    assert row.nll == pytest.approx(float(torch.nn.functional.cross_entropy(logits, ids[half:])), rel=1e-3)
    assert (row.score, row.exact, row.kept, row.answer) == (None, None, None, None)
    assert run.gates["text"].score is None and run.tasks == ("facts", "text")


def test_what_needs_the_whole_prefix_is_left_out_of_all_unless_it_is_cut_once(tiny: LanguageModel) -> None:
    session = session_of(tiny, "all", 0.5)
    assert "expected_attention" not in {way.key for way in session.ways}
    assert [words for words in card_of(session)["left_out"] if words.startswith("expected_attention (it looks")]
    once = session_of(tiny, "all", 0.5, mode="once")
    assert "expected_attention" in {way.key for way in once.ways} and len(once.ways) == len(session.ways) + 1
    with pytest.raises(InputError, match='give mode="once"'):
        session_of(tiny, "expected_attention", 0.5)


def test_the_card_is_json_and_says_what_decides(tiny: LanguageModel) -> None:
    card = card_of(session_of(tiny, "h2o", (0.5, 0.2), length=[200, 300]), ["keepmap", "tasks"])
    assert json.loads(json.dumps(card)) == card
    assert card["densities"] == [0.2, 0.5] and card["lengths"] == [200, 300] and card["command"][1] == "tasks"
    assert card["methods"] == [{"name": "h2o", "n_sink": 4, "window": 16}] and card["model"] == "tiny"
    other = card_of(session_of(tiny, "h2o", (0.5, 0.2), length=[200, 300], seed=1))
    assert other["tasks"][0]["first_prompt"] != card["tasks"][0]["first_prompt"]


def test_a_file_of_questions_is_asked_and_one_that_is_too_long_is_named(tiny: LanguageModel, tmp_path: Path) -> None:
    path = tmp_path / "qa.json"
    question = {
        "context": CONTEXT,
        "question": "What?",
        "answers": ["4821"],
        "evidence": "4821",
    }
    path.write_text(json.dumps(question), encoding="utf-8")
    run = keepmap.run_tasks(tiny, "qa", "h2o", qa_file=path, gate=0.0, max_new_tokens=4)
    assert len(run.of("qa", "h2o")) == 1 and run.of("qa", "full")[0].n_new <= 4
    path.write_text(json.dumps({**question, "context": CONTEXT * 40}), encoding="utf-8")
    with pytest.raises(InputError, match="500 positions of tiny, got .* tokens in question 1 of `qa_file`"):
        keepmap.run_tasks(replace(tiny, max_positions=500), "qa", "h2o", qa_file=path, gate=0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ()}, "no task in `tasks`; name some"),
        ({"methods": "baseline"}, "no method in `methods` but baseline"),
        ({"density": ()}, "expected `density` to be a number or several, got none"),
        ({"density": 1.5}, r"expected `density` to be a number in \[0, 1\]"),
        ({"question": "before"}, "unknown `question` .*before"),
        ({"answers": "forced"}, "unknown `answers`"),
        ({"gate": 2.0}, r"expected `gate` to be a number in \[0, 1\], got 2.0"),
        ({"length": 0}, "`length`"),
        ({"length": []}, "expected `length` to be a number of tokens or several, got none"),
        ({"length": 10**12}, "expected `length` to be an integer of 1048576 or less"),
        ({"length": 20}, "expected `length` to be .* or more, which facts takes"),
        ({"n_samples": 0}, "`n_samples`"),
        ({"max_new_tokens": 0}, "`max_new_tokens`"),
        ({"qa_file": "x.json"}, "got `qa_file` without the task qa"),
        ({"tasks": ["facts", Facts(questions=2)]}, "two tasks of the name facts"),
        ({"chat_template": True}, "has no chat template"),
    ],
)
def test_what_is_wrong_is_one_line(tiny: LanguageModel, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        keepmap.run_tasks(tiny, **{"methods": "h2o", "n_samples": 1, **options})


@pytest.mark.parametrize("texts", [3, [3], []])
def test_what_is_no_text_is_one_line(tiny: LanguageModel, texts: object) -> None:
    with pytest.raises(InputError, match="expected `texts` to be a text or several"):
        keepmap.sweep(tiny, "facts", "h2o", texts=texts)


def test_a_template_that_changes_the_text_is_refused(tiny: LanguageModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny.tokenizer, "chat_template", "{{ messages[0].content | upper }}")
    with pytest.raises(ModelError, match="chat template changes what a user says"):
        keepmap.run_tasks(tiny, "facts", "h2o", chat_template=True, n_samples=1)


def test_a_model_without_a_tokenizer_is_refused(tiny: LanguageModel) -> None:
    with pytest.raises(InputError, match="has no tokenizer, which questions need"):
        keepmap.run_tasks(replace(tiny, tokenizer=None), "facts", "h2o", n_samples=1)


def test_rows_survive_json(run: TaskRun) -> None:
    for row in run.answers[:3]:
        assert type(row).from_json(json.loads(json.dumps(asdict(row)))) == row
