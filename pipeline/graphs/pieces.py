"""Pieces of the lean graph in ONNX's text form that are no recurrence."""

from __future__ import annotations

from collections.abc import Iterator


def turn_round(name: str, found: str, *, is_back: bool = False) -> str:
    """Write rows turned round, with padding behind the words then too; or those turned back."""
    first = f"{found}_reversed = Slice ({name}, last, before_first, axis, backward)"
    second = f"{found} = ReverseSequence <batch_axis = 1, time_axis = 0> ({found}_reversed, length)"
    if is_back:
        first = f"{found}_reversed = ReverseSequence <batch_axis = 1, time_axis = 0> ({name}, length)"
        second = f"{found} = Slice ({found}_reversed, last, before_first, axis, backward)"
    return f"{first}\n{second}\n"


def ngram_sums(longest: int) -> Iterator[str]:
    """Write the sum of what the runs of words weigh; see ``networks.layers.weigh_ngrams``."""
    for length in range(1, longest + 1):
        if length == 1:
            yield """
                words_1 = Cast <to = 7> (tokens)
                keys_1 = Identity (words_1)
                before_words_shape = Concat <axis = 0> (one, batch)
                before_words = ConstantOfShape <value = int64[1] {0}> (before_words_shape)
                """
        else:
            yield f"""
                earlier_{length} = Slice (words_{length - 1}, first, last, axis)
                words_{length} = Concat <axis = 0> (before_words, earlier_{length})
                scaled_{length} = Mul (keys_{length - 1}, hash_factor)
                added_{length} = Add (scaled_{length}, words_{length})
                keys_{length} = Mod (added_{length}, hash_modulus)
                """
        yield f"""
            bucket_{length} = Mod (keys_{length}, buckets)
            weight_{length} = Gather (ngrams, bucket_{length})
            is_run_{length} = Greater (words_{length}, no_word)
            run_{length} = Cast <to = 1> (is_run_{length})
            weighed_{length} = Mul (weight_{length}, run_{length})
            """
    runs = ", ".join(f"weighed_{length}" for length in range(1, longest + 1))
    yield f"""
        weighed = Sum ({runs})
        ngram_sum_of_row = ReduceSum <keepdims = 0> (weighed, axis)
        ngram_sum = Unsqueeze (ngram_sum_of_row, one)
        """


def pad_tokens(cell: str, steps: str) -> str:
    """Write the tokens that a cell walks through, with this many steps of padding before them."""
    return f"""
        {cell}_padding_shape = Concat <axis = 0> ({steps}, batch)
        {cell}_padding = ConstantOfShape <value = int32[1] {{0}}> ({cell}_padding_shape)
        {cell}_tokens = Concat <axis = 0> ({cell}_padding, tokens)
        """
