"""What a method and a rule decide in one layer about a text that is there as a whole, whatever the method looks at."""

from jaxtyping import Float
from torch import Tensor, nn

from keepmap.kv.choosing import LayerRule, Protection, choose, decided_at
from keepmap.kv.eviction.checks import scores_of
from keepmap.kv.eviction.review import review
from keepmap.kv.eviction.rotation import rotation_of
from keepmap.kv.eviction.scan import Scan, scan
from keepmap.kv.method import LayerInput, Method, Received, Reviewed, Scored
from keepmap.kv.passes import LayerCall
from keepmap.kv.scoring.ahead import Ahead
from keepmap.kv.scoring.projection import projection_of

__all__ = ["decide"]


def decide(
    call: LayerCall,
    model: nn.Module,
    method: Method,
    rule: LayerRule,
    protection: Protection,
    chunk_size: int,
    seed: int,
    ends: bool = True,
    whole: LayerCall | None = None,
    repeated: Float[Tensor, "G N"] | None = None,
) -> Scan:
    """The choice and the scores that made it; the layer's attention where it falls off on the way.

    Args:
        ends: whether the end of the text ends the last chunk.
        whole: the call with what comes after the text, for oracles; by default nothing does.
        repeated: what a second reading of the text gives, for methods with `needs_repetition`.

    Raises:
        InputError: scores of another shape.
        ImpossibleResultError: a NaN score; names the method.
    """
    if isinstance(method, Received):
        return scan(call, method, rule, protection, chunk_size, ends)
    if isinstance(method, Reviewed):
        rotation = rotation_of(model, call) if method.needs_rotation else None
        projection = projection_of(model, call.layer) if method.needs_norms else None
        ahead = Ahead(whole or call) if method.needs == "future" else None
        return Scan(*review(call, method, rule, protection, chunk_size, rotation, seed, ends, projection, ahead), None)
    assert isinstance(method, Scored)  # as_method takes no fourth kind
    layer = LayerInput(
        layer=call.layer,
        hidden_states=call.hidden_states,
        queries=call.queries,
        keys=call.keys,
        values=call.values,
        rotation=rotation_of(model, call) if method.needs_rotation else None,
        decided_at=decided_at(call.keys.shape[1], protection, chunk_size, call.keys.device),
        scaling=call.scaling,
        n_sink=protection.n_sink,
        seed=seed,
        repeated=None if repeated is None else repeated.to(call.keys.device),
    )
    scores = scores_of(method, layer)
    return Scan(choose(scores, rule, protection, chunk_size, ends), scores, None)
