import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likewise.vectors import attention
from likewise.vectors.attention import ProductAttention, product_attention

SDPA = torch.nn.functional.scaled_dot_product_attention


def reference(query, key, value, mask, scale):
    """Attention by loops, in float64."""
    query, key, value = (tensor.double().numpy() for tensor in (query, key, value))
    output = np.zeros((*query.shape[:3], value.shape[3]))
    for item, head, row in np.ndindex(query.shape[:3]):
        logits = key[item, head] @ query[item, head, row] * scale
        if mask is not None:
            logits = np.where(mask[item, 0].numpy(), logits, -np.inf)
        weights = np.exp(logits - logits.max())
        output[item, head, row] = weights @ value[item, head] / weights.sum()
    return output


def inputs(items, heads, queries, keys, size, spread, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(items, heads, queries, size), (items, heads, keys, size), (items, heads, keys, size)]
    query, key, value = (torch.randn(*shape, generator=generator).bfloat16() for shape in shapes)
    kept = torch.rand(items, 1, keys, generator=generator) < 0.7
    kept[..., 0] = True
    return (query.float() * spread).bfloat16(), key, value, kept


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9),
    st.sampled_from([0.1, 1.0, 40.0]), st.booleans(), st.integers(0, 5),
)  # fmt: skip
def test_equals_the_float64_loop(items, heads, queries, keys, spread, masked, seed):
    query, key, value, kept = inputs(items, heads, queries, keys, 4, spread, seed)
    mask = kept if masked else None
    found = product_attention(query, key, value, mask, 0.5).double().numpy()
    # logits are rounded to 8 bits of mantissa, so weights are off by up to their size / 256
    largest = float((query.float().norm(dim=-1).max() * key.float().norm(dim=-1).max()) * 0.5)
    bound = (np.exp(2 * largest / 256) - 1 + 0.03) * float(value.abs().max())
    assert np.abs(found - reference(query, key, value, mask, 0.5)).max() <= bound


@pytest.mark.parametrize("masked", [False, True])
def test_huge_logits_neither_overflow_nor_vanish_beside_a_masked_one(masked):
    query, key, value, kept = inputs(2, 2, 6, 6, 8, 60.0, 0)
    key[..., -1, :] *= 50  # by far the largest logits are those of a key that does not count
    kept[..., -1] = False
    found = product_attention(query, key, value, kept if masked else None, None)
    assert torch.isfinite(found).all()
    expected = reference(query, key, value, kept if masked else None, 8**-0.5)
    assert np.median(np.abs(found.double().numpy() - expected)) < 0.02


def test_scores_are_cut_into_slices_that_fit(monkeypatch):
    query, key, value, kept = inputs(3, 2, 5, 5, 4, 1.0, 0)
    whole = product_attention(query, key, value, kept, None)
    monkeypatch.setattr(attention, "LARGEST_SCORES", 50)
    torch.testing.assert_close(product_attention(query, key, value, kept, None), whole, rtol=0.02, atol=0.02)


def count_calls(monkeypatch):
    calls = []
    monkeypatch.setattr(attention, "product_attention", lambda *given: calls.append(given) or given[0])
    return calls


def test_calls_of_any_model_are_taken_over(monkeypatch):
    calls = count_calls(monkeypatch)
    query, key, value, kept = inputs(2, 2, 4, 4, 4, 1.0, 0)
    with ProductAttention():
        SDPA(query, key, value)
        SDPA(query, key, value, attn_mask=kept[:, :, None].expand(2, 1, 4, 4), scale=0.3)
    assert [call[4] for call in calls] == [None, 0.3]
    assert torch.equal(calls[1][3], kept)
    SDPA(query, key, value)
    assert len(calls) == 2


def test_calls_that_mean_something_else_stay_pytorchs(monkeypatch):
    calls = count_calls(monkeypatch)
    query, key, value, _ = inputs(1, 2, 4, 4, 4, 1.0, 0)
    diagonal = torch.eye(4, dtype=torch.bool)[None, None]
    nothing = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    with ProductAttention():
        causal = SDPA(query, key, value, is_causal=True)
        SDPA(query, key, value, dropout_p=0.5)
        SDPA(query, key, value, attn_mask=diagonal)
        SDPA(query, key, value, attn_mask=nothing)
        SDPA(query, key, value, attn_mask=torch.zeros(1, 1, 4, 4, dtype=torch.bfloat16))
        SDPA(query[0], key[0], value[0])
    assert not calls
    torch.testing.assert_close(causal, SDPA(query, key, value, is_causal=True))


def test_arguments_may_be_given_in_any_way(monkeypatch):
    query, key, value, kept = inputs(2, 2, 5, 5, 8, 1.0, 0)
    mask = kept[:, :, None].expand(2, 1, 5, 5)
    taken = []
    monkeypatch.setattr(attention, "product_attention", lambda *given: taken.append(given) or product_attention(*given))
    expected = product_attention(query, key, value, kept, None)
    with ProductAttention():
        found = [
            SDPA(query=query, key=key, value=value, attn_mask=mask),
            SDPA(query, key, value, mask),
            SDPA(query, key, value=value, attn_mask=mask, scale=8**-0.5),
        ]
        other = SDPA(query, key, value, None, 0.0, True)
    assert len(taken) == 3
    for one in found:
        torch.testing.assert_close(one, expected)
    torch.testing.assert_close(other, SDPA(query, key, value, is_causal=True))
