"""From a name to a method that is ready to score: some need a surrogate trained for the model."""

from pathlib import Path

from keepmap.errors import InputError, ModelError, did_you_mean, kind_of
from keepmap.kv.method import Method, Received, Scored, method_class
from keepmap.kv.surrogate import load_surrogate
from keepmap.language_model import EMBEDDED, LanguageModel

__all__ = ["as_method", "resolve_method"]

_SURROGATES = ("mlp", "linear")


def as_method(method: object, language_model: LanguageModel) -> Method:
    """A method as it is; a name as the method of that name, with the surrogate it needs for this model.

    Raises:
        InputError: neither, or an unknown name.
        ModelError: no surrogate for this model.
    """
    if isinstance(method, Scored | Received):
        return method
    if isinstance(method, str):
        return resolve_method(method, language_model)
    hint = f"; write {method.__name__}()" if isinstance(method, type) and issubclass(method, Method) else ""
    hint = "; derive its class from Scored or Received" if isinstance(method, Method) else hint
    raise InputError(f"expected `method` to be a method's name or an instance, got {kind_of(method)}{hint}")


def resolve_method(
    name: str,
    language_model: LanguageModel,
    *,
    kvzap_scorer_model: str | Path | None = None,
    kvzap_model_type: str = "mlp",
) -> Method:
    """The method called `name`, with the surrogate it needs for this model.

    Args:
        kvzap_scorer_model: a folder or hub id; by default the embedded one for "tiny", and for other models the one
            that NVIDIA published under the model's name.
        kvzap_model_type: "mlp" or "linear", which of the default ones.

    Raises:
        InputError: an unknown method or surrogate type.
        ModelError: no such surrogate, or one whose sizes do not fit the model.
    """
    cls = method_class(name)
    if not cls.needs_surrogate:
        return cls()
    if kvzap_model_type not in _SURROGATES:
        known = did_you_mean(str(kvzap_model_type), _SURROGATES)
        raise InputError(f'unknown `kvzap_model_type` "{kvzap_model_type}", {known}')
    source = kvzap_scorer_model or _default(language_model.name, kvzap_model_type)
    surrogate = load_surrogate(source)
    surrogate.require_fit(language_model.model.config.get_text_config())
    return cls(surrogate.to(language_model.device).score)  # type: ignore[call-arg]


def _default(model: str, kind: str) -> str | Path:
    if model in EMBEDDED:
        return EMBEDDED[model] / f"kvzap-{kind}"
    if Path(model).exists() or "/" not in model:
        raise ModelError(
            f'no KVzap surrogate is known for model "{model}"; give one as `kvzap_scorer_model`, or leave kvzap out '
            "of `methods`"
        )
    base = model.rsplit("/", 1)[-1].replace("Meta-Llama-3.1", "Llama-3.1")
    return f"nvidia/KVzap-{kind}-{base}"
