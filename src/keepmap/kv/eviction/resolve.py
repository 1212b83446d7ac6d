"""From a name to a method that is ready to score: some need a surrogate trained for the model."""

from pathlib import Path

from keepmap.errors import InputError, ModelError, did_you_mean, kind_of
from keepmap.kv.eviction.dense import between_readings
from keepmap.kv.method import Method, Received, Reviewed, Scored, check_method, method_class
from keepmap.kv.surrogate import find_surrogate, load_surrogate
from keepmap.language_model import EMBEDDED, LanguageModel

__all__ = ["as_method", "resolve_method"]

_KINDS = ("mlp", "linear")
_BY_OPTION = "give one as `kvzap_scorer_model`, or leave kvzap out of `methods`"
_BY_INSTANCE = "give one as an instance, keepmap.kv.methods.kvzap.KVzap(surrogate.score)"


def as_method(method: object, language_model: LanguageModel) -> Method:
    """A method as it is; a name as the method of that name, with the surrogate it needs for this model.

    Raises:
        InputError: neither, or an unknown name.
        ModelError: no surrogate for this model.
    """
    if isinstance(method, Scored | Received | Reviewed):
        check_method(method, "method")
        return method
    if isinstance(method, str):
        return resolve_method(method, language_model, hint=_BY_INSTANCE)
    hint = f"; write {method.__name__}()" if isinstance(method, type) and issubclass(method, Method) else ""
    hint = "; derive its class from Scored, Received or Reviewed" if isinstance(method, Method) else hint
    raise InputError(f"expected `method` to be a method's name or an instance, got {kind_of(method)}{hint}")


def resolve_method(
    name: str,
    language_model: LanguageModel,
    *,
    kvzap_scorer_model: str | Path | None = None,
    kvzap_model_type: str = "auto",
    hint: str = _BY_OPTION,
    longest: int = 0,
) -> Method:
    """The method called `name`, with the surrogate it needs for this model.

    Args:
        kvzap_scorer_model: a folder or hub id; by default one that the package carries (for "tiny" and SmolLM2), and
            for other models the one that NVIDIA published under the model's name.
        kvzap_model_type: which of the default ones: "mlp", "linear", or "auto" for the MLP where the package carries
            one or NVIDIA published it, else the linear one.
        hint: how to give one where none is known.
        longest: how many tokens the longest text has.

    Raises:
        InputError: an unknown method or surrogate type.
        ModelError: no such surrogate, or one whose sizes do not fit the model; a text that is too long for a method.
    """
    cls = method_class(name)
    if issubclass(cls, Scored) and cls.needs_repetition:
        try:
            between_readings(language_model, longest)
        except InputError as error:
            raise ModelError(str(error)) from None
    if not cls.needs_surrogate:
        return cls()
    if kvzap_model_type not in ("auto", *_KINDS):
        known = did_you_mean(str(kvzap_model_type), ("auto", *_KINDS))
        raise InputError(f'unknown `kvzap_model_type` "{kvzap_model_type}", {known}')
    source = kvzap_scorer_model or _default(language_model, kvzap_model_type, hint)
    surrogate = load_surrogate(source)
    surrogate.require_fit(language_model.model.config.get_text_config())
    return cls(surrogate.to(language_model.device).score)  # type: ignore[call-arg]


def _default(language_model: LanguageModel, kind: str, hint: str) -> str | Path:
    """The surrogate of this model that the package carries, else the name of the one that NVIDIA published for it."""
    model, kinds = language_model.name, _KINDS if kind == "auto" else (kind,)
    if model in EMBEDDED:
        return EMBEDDED[model] / f"kvzap-{kinds[0]}"
    carried = EMBEDDED["tiny"].parent
    folders = [folder for each in kinds for folder in sorted(carried.glob(f"*/kvzap-{each}"))]
    if (folder := find_surrogate(folders, language_model.model)) is not None:
        return folder
    if Path(model).exists() or "/" not in model:
        raise ModelError(
            f'no {"" if kind == "auto" else f"{kind} "}KVzap surrogate is known for model "{model}"; make one by '
            f"`keepmap train-surrogate`, {hint}"
        )
    base = model.rsplit("/", 1)[-1].replace("Meta-Llama-3.1", "Llama-3.1")
    return f"nvidia/KVzap-{kinds[0]}-{base}"
