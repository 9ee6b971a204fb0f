"""A recurrence in ONNX's text form: what a step adds, how it goes on, and what it hands to the next one.

``{d}`` stands for the name of a cell, ``{source}`` for what it reads, and ``{sums}`` for what its steps
take of that. The formulas are those of Keras's layers with their defaults (``reset_after`` for the GRU,
whose gates come in the order z, r, h; those of the LSTM in the order i, f, c, o).
"""

from __future__ import annotations

_CLOSED = 100.0
"""A gate's sum beyond which float32 knows but 0 and 1."""

SUMS = {
    "simple": """
        {d}_projected = MatMul ({source}, {d}_kernel)
        {sums} = Add ({d}_projected, {d}_bias)
    """,
    "gru": """
        {d}_projected = MatMul ({source}, {d}_kernel)
        {d}_bias_input, {d}_bias_state = Split <axis = 0> ({d}_bias)
        {d}_bias_gates, {d}_bias_candidate = Split <axis = 1> ({d}_bias_state, gates_candidate)
        {d}_bias_none = Sub ({d}_bias_candidate, {d}_bias_candidate)
        {d}_bias_early = Concat <axis = 1> ({d}_bias_gates, {d}_bias_none)
        {d}_bias_table = Add ({d}_bias_input, {d}_bias_early)
        {sums} = Add ({d}_projected, {d}_bias_table)
        {d}_recurrent_gates, {d}_recurrent_candidate = Split <axis = 1> ({d}_recurrent, gates_candidate)
    """,
    "mingru": """
        {d}_projected = MatMul ({source}, {d}_kernel)
        {d}_sums_of_both = Add ({d}_projected, {d}_bias)
        {d}_sum_gate, {d}_candidate = Split <axis = -1> ({d}_sums_of_both)
        {d}_gate = Sigmoid ({d}_sum_gate)
        {d}_let_in = Mul ({d}_gate, {d}_candidate)
        {d}_kept = Sub (one_word, {d}_gate)
        {sums} = Concat <axis = -1> ({d}_kept, {d}_let_in)
    """,
}
SUMS["lstm"] = SUMS["simple"]
"""For the first layer, all in them is constant: they are worked out once, when the graph is loaded."""
OF_PADDING = {
    "simple": (0.0,),
    "gru": (_CLOSED, -_CLOSED, 0.0),
    "lstm": (0.0, 0.0, 0.0, 0.0),
    "mingru": (1.0, 0.0),
}
"""Sums, block by block, that leave states at 0 which are at 0, as they are before the first word. The GRU's
gate z keeps the state whole, whatever its recurrent bias adds."""
LOOK_UP = """
        x = Gather ({d}_sums, token)
    """
STEPS = {
    "simple": """
        sum = Gemm (h, {d}_recurrent, x)
        h_next = Tanh (sum)
    """,
    "gru": """
        x_gates, x_candidate = Split <axis = 1> (x, gates_candidate)
        sum_gates = Gemm (h, {d}_recurrent_gates, x_gates)
        gates = Sigmoid (sum_gates)
        z, r = Split <axis = 1> (gates)
        state = Gemm (h, {d}_recurrent_candidate, {d}_bias_candidate)
        state_let_in = Mul (r, state)
        sum_candidate = Add (x_candidate, state_let_in)
        candidate = Tanh (sum_candidate)
        difference = Sub (h, candidate)
        kept = Mul (z, difference)
        h_next = Add (candidate, kept)
    """,
    "lstm": """
        sum = Gemm (h, {d}_recurrent, x)
        sum_i, sum_f, sum_g, sum_o = Split <axis = 1> (sum)
        i = Sigmoid (sum_i)
        f = Sigmoid (sum_f)
        g = Tanh (sum_g)
        o = Sigmoid (sum_o)
        kept = Mul (f, c)
        let_in = Mul (i, g)
        c_next = Add (kept, let_in)
        shown = Tanh (c_next)
        h_next = Mul (o, shown)
    """,
    "mingru": """
        share, let_in = Split <axis = 1> (x)
        kept = Mul (share, h)
        h_next = Add (kept, let_in)
    """,
}
STATES = {"simple": ("h",), "gru": ("h",), "lstm": ("h", "c"), "mingru": ("h",)}
POOLING = {
    "last": "",
    "mean": """
        mean_next = Add (mean, h_next)
    """,
    "max": """
        max_next = Max (max, h_next)
    """,
    "attention": """
        importance_sum = MatMul (h_next, {d}_importance)
        importance_limited = Tanh (importance_sum)
        importance = Mul (importance_limited, attention_limit)
        importance_of_any = Exp (importance)
        importance_of_word = Mul (importance_of_any, word)
        whole_next = Add (whole, importance_of_word)
        weighted = Mul (importance_of_word, h_next)
        attention_next = Add (attention, weighted)
    """,
}
"""The pooling runs along, as more states; ``word`` is 1 where there is one, and 0 for padding."""
POOLED_STATES = {"last": (), "mean": ("mean",), "max": ("max",), "attention": ("attention", "whole")}
FEATURES = {
    "last": """
        {d}_last = Identity ({d}_h_end)
    """,
    "mean": """
        {d}_mean = Div ({d}_mean_end, {steps})
    """,
    "max": """
        {d}_max = Identity ({d}_max_end)
    """,
    "attention": """
        {d}_whole = Max ({d}_whole_end, least)
        {d}_attention = Div ({d}_attention_end, {d}_whole)
    """,
}
"""What the states come to in the end; a row without a word has importances of 0."""
