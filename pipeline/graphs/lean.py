"""The lean graph: a trained recurrent network written straight into few, standard operators.

What makes it fast: the embedding, multiplied by the input kernel and with the bias added, becomes
one table when the graph is loaded, so a step of the recurrence looks a row up and multiplies by the
recurrent kernel; the states after 16, 32, 48 ... steps of padding stand in a table, so left padding is
not walked through; the pooling runs along as one more state. The formulas are those of Keras's
layers with their defaults (``reset_after`` for the GRU, whose gates come in the order z, r, h; those
of the LSTM in the order i, f, c, o).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray

from pipeline.graphs.checks import OPSET, graphs_of
from pipeline.graphs.quantized import EXPANSION, store_embedding
from pipeline.recipe import NetworkSettings, Storage
from pipeline.runtime.scorer import INPUT, OUTPUT, open_session

_IR_VERSION = 8
_CLOSED = 100.0
"""A gate's sum beyond which float32 knows but 0 and 1."""
_STRIDE = 16
"""Steps of padding from one state that is kept to the next: the table takes a sixteenth of the room, for
at most fifteen steps more."""

Floats = NDArray[np.float32]
Constants = dict[str, NDArray[Any]]

_TABLES = {
    "simple": """
        {d}_projected = MatMul (embedding, {d}_kernel)
        {d}_{table} = Add ({d}_projected, {d}_bias)
    """,
    "gru": """
        {d}_projected = MatMul (embedding, {d}_kernel)
        {d}_bias_input, {d}_bias_state = Split <axis = 0> ({d}_bias)
        {d}_bias_gates, {d}_bias_candidate = Split <axis = 1> ({d}_bias_state, gates_candidate)
        {d}_bias_none = Sub ({d}_bias_candidate, {d}_bias_candidate)
        {d}_bias_early = Concat <axis = 1> ({d}_bias_gates, {d}_bias_none)
        {d}_bias_table = Add ({d}_bias_input, {d}_bias_early)
        {d}_{table} = Add ({d}_projected, {d}_bias_table)
        {d}_recurrent_gates, {d}_recurrent_candidate = Split <axis = 1> ({d}_recurrent, gates_candidate)
    """,
    "mingru": """
        {d}_projected = MatMul (embedding, {d}_kernel)
        {d}_sums = Add ({d}_projected, {d}_bias)
        {d}_sum_gate, {d}_candidate = Split <axis = 1> ({d}_sums)
        {d}_gate = Sigmoid ({d}_sum_gate)
        {d}_let_in = Mul ({d}_gate, {d}_candidate)
        {d}_kept = Sub (one_word, {d}_gate)
        {d}_{table} = Concat <axis = 1> ({d}_kept, {d}_let_in)
    """,
}
_TABLES["lstm"] = _TABLES["simple"]
"""Worked out once, when the graph is loaded: everything in them is constant."""

_STEPS = {
    "simple": """
        x = Gather ({d}_table, token)
        sum = Gemm (h, {d}_recurrent, x)
        h_next = Tanh (sum)
    """,
    "gru": """
        x = Gather ({d}_table, token)
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
        x = Gather ({d}_table, token)
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
        x = Gather ({d}_table, token)
        share, let_in = Split <axis = 1> (x)
        kept = Mul (share, h)
        h_next = Add (kept, let_in)
    """,
}
_MASKING = """
        {d}_words = Slice ({d}_table_of_all, one, end, axis)
        {d}_table = Concat <axis = 0> ({d}_of_padding, {d}_words)
    """
"""Padding's row of the table becomes one that leaves states at 0, as they are before the first word."""
_OF_PADDING = {
    "simple": (0.0,),
    "gru": (_CLOSED, -_CLOSED, 0.0),
    "lstm": (0.0, 0.0, 0.0, 0.0),
    "mingru": (1.0, 0.0),
}
"""That row, block by block. The GRU's gate z keeps the state whole, whatever its recurrent bias adds."""
_STATES = {"simple": ("h",), "gru": ("h",), "lstm": ("h", "c"), "mingru": ("h",)}
_WEIGHTS = dict.fromkeys(_STATES, ("kernel", "recurrent", "bias")) | {"mingru": ("kernel", "bias")}
"""Of a direction, in Keras's order."""
_POOLING = {"last": "", "mean": "pool_next = Add (pool, h_next)", "max": "pool_next = Max (pool, h_next)"}
_LOWEST = float(np.finfo(np.float32).min)


def export_lean(
    weights: Sequence[Floats], network: NetworkSettings, max_length: int, storage: Storage
) -> onnx.ModelProto:
    """Write a trained network as a lean graph.

    Args:
        weights: As ``keras.Model.get_weights`` gives them: the embedding; per direction kernel,
            recurrent kernel and bias; the last layer's kernel and bias.
        network: What the weights belong to.
        max_length: Ids per row that the network was trained on.
        storage: How the embedding is stored.

    Returns:
        A graph from int32 ``token_ids`` ``[batch, time]`` to float32 ``score`` ``[batch]``, as the
        network scores rows padded (or cut) on the left to ``max_length``.
    """
    writer = _Writer(network, max_length, storage)
    constants = writer.name_weights(weights)
    if not network.masked:
        constants |= writer.states_after_padding(constants)
    return _model(writer.scoring_graph(), constants)


@dataclass(frozen=True)
class _Writer:
    """Knows a network's shape, and writes graphs for it in ONNX's text form."""

    network: NetworkSettings
    max_length: int
    storage: Storage

    @property
    def directions(self) -> tuple[str, ...]:
        return ("forward", "backward") if self.network.bidirectional else ("forward",)

    @property
    def states(self) -> tuple[str, ...]:
        """What a step hands on to the next one."""
        return _STATES[self.network.cell] + (("pool",) if self.network.pooling != "last" else ())

    @property
    def rows(self) -> str:
        """The type of a state."""
        return f"float[batch, {self.network.units}]"

    def name_weights(self, weights: Sequence[Floats]) -> Constants:
        """Name the trained weights, and the numbers that the graph's text uses."""
        embedding, *recurrent, dense_kernel, dense_bias = weights
        names = [f"{d}_{name}" for d in self.directions for name in _WEIGHTS[self.network.cell]]
        units = self.network.units
        numbers = {
            "units": [units],
            "gates_candidate": [2 * units, units],
            "max_length": [self.max_length],
            "stride": [_STRIDE],
            "first_kept": [-self.max_length],
            "end": [np.iinfo(np.int64).max],
            "axis": [0],
            "one": [1],
            "flat": [-1],
            "last": [-1],
            "before_first": [np.iinfo(np.int64).min],
            "backward": [-1],
        }
        return {
            **store_embedding(embedding, self.storage),
            **dict(zip(names, recurrent, strict=True)),
            "dense_kernel": dense_kernel,
            "dense_bias": dense_bias,
            "steps": np.array(self.max_length, np.float32),
            "one_word": np.array(1, np.float32),
            "padding": np.array(0, np.int32),
            **{f"{d}_of_padding": self.row_of_padding() for d in self.directions},
            **{name: np.array(value, np.int64) for name, value in numbers.items()},
        }

    def row_of_padding(self) -> Floats:
        blocks = np.array(_OF_PADDING[self.network.cell], np.float32)
        return np.repeat(blocks, self.network.units)[None]

    def states_after_padding(self, constants: Constants) -> Constants:
        """Run the forward recurrence over nothing but padding and keep a state every few steps.

        ONNX Runtime runs it, so that the states are those it would reach itself, bit for bit. Two
        rows, since it multiplies a single row in another order.
        """
        seen = [f"{state}_seen" for state in self.states]
        outputs = ", ".join(f"float[time, batch, {self.network.units}] {name}" for name in seen)
        text = f"""
            padding (int32[time, batch] tokens) => ({outputs}) {{
                {self.preparation()}
                batch = Shape <start = 1, end = 2> (tokens)
                {self.fresh_start("forward")}
                {self.scan("forward", "tokens", traced=True)}
            }}"""
        session = open_session(_model(text, constants).SerializeToString())
        tokens = np.zeros((self.max_length, 2), np.int32)
        traces = dict(zip(self.states, session.run(seen, {"tokens": tokens}), strict=True))
        fresh = {
            state: np.full((1, self.network.units), self.at_first(state), np.float32) for state in traces
        }
        whole = {state: np.concatenate([fresh[state], trace[:, 0]]) for state, trace in traces.items()}
        return {f"{state}_after_padding": rows[::_STRIDE] for state, rows in whole.items()}

    def at_first(self, state: str) -> float:
        """Give what a state holds before the first step."""
        is_least = state == "pool" and self.network.pooling == "max" and not self.network.masked
        return _LOWEST if is_least else 0.0

    def scoring_graph(self) -> str:
        """Write the graph from token ids to scores."""
        last = "h" if self.network.pooling == "last" else "pool"
        found = ", ".join(f"{direction}_{last}_end" for direction in self.directions)
        features = "Identity (found)"
        if self.network.pooling == "mean":
            features = f"Div (found, {'words_of_row' if self.network.masked else 'steps'})"
        return f"""
            resenha (int32[batch, time] {INPUT}) => (float[batch] {OUTPUT}) {{
                {self.preparation()}
                turned = Transpose <perm = [1, 0]> ({INPUT})
                tokens = Slice (turned, first_kept, end, axis)
                batch = Shape <start = 1, end = 2> (tokens)
                {self.walks_over_words() if self.network.masked else self.walks_over_all()}
                found = Concat <axis = 1> ({found})
                features = {features}
                logit = Gemm (features, dense_kernel, dense_bias)
                probability = Sigmoid (logit)
                {OUTPUT} = Reshape (probability, flat)
            }}"""

    def walks_over_all(self) -> str:
        """Write the walks over a review and the padding before it."""
        walks = """
            time = Shape <start = 0, end = 1> (tokens)
            missing = Sub (max_length, time)
            """
        walks += self.start_after_padding() + self.scan("forward", "forward_tokens")
        if self.network.bidirectional:
            # From its end, a review comes before its padding, whose steps cannot be looked up.
            walks += _pad("backward", "missing") + self.fresh_start("backward")
            walks += self.scan("backward", "backward_tokens")
        return walks

    def walks_over_words(self) -> str:
        """Write walks that begin at 0 with the first word: padding comes before it, and changes nothing."""
        walks = ""
        if self.network.bidirectional or self.network.pooling == "mean":
            walks += """
                is_word = Greater (tokens, padding)
                word = Cast <to = 1> (is_word)
                counted = ReduceSum <keepdims = 0> (word, axis)
                words = Max (counted, one_word)
                words_of_row = Unsqueeze (words, one)
                """
        walks += self.fresh_start("forward") + self.scan("forward", "tokens")
        if self.network.bidirectional:
            # Read from its end, with its words in their order: the walk backward turns both round.
            walks += """
                length = Cast <to = 7> (words)
                turned_round = Slice (tokens, last, before_first, axis, backward)
                backward_tokens = ReverseSequence <batch_axis = 1, time_axis = 0> (turned_round, length)
                """
            walks += self.fresh_start("backward") + self.scan("backward", "backward_tokens")
        return walks

    def preparation(self) -> str:
        table = "table_of_all" if self.network.masked else "table"
        text = _TABLES[self.network.cell] + (_MASKING if self.network.masked else "")
        tables = (text.format(d=direction, table=table) for direction in self.directions)
        return EXPANSION[self.storage] + "".join(tables)

    def start_after_padding(self) -> str:
        lines = [
            "row = Div (missing, stride)",
            "looked_up = Mul (row, stride)",
            "to_walk = Sub (missing, looked_up)",
            _pad("forward", "to_walk"),
            "state_shape = Concat <axis = 0> (batch, units)",
        ]
        for state in self.states:
            lines += [
                f"{state}_row = Gather ({state}_after_padding, row)",
                f"forward_{state}_start = Expand ({state}_row, state_shape)",
            ]
        return "\n".join(lines)

    def fresh_start(self, direction: str) -> str:
        lines = [f"{direction}_shape = Concat <axis = 0> (batch, units)"]
        for state in self.states:
            value = f"value = float[1] {{{self.at_first(state)!r}}}"
            lines.append(f"{direction}_{state}_start = ConstantOfShape <{value}> ({direction}_shape)")
        return "\n".join(lines)

    def scan(self, direction: str, tokens: str, *, traced: bool = False) -> str:
        """Write the loop over the steps; ``traced`` gives every state on the way as well."""
        starts = ", ".join(f"{direction}_{state}_start" for state in self.states)
        ends = [f"{direction}_{state}_end" for state in self.states]
        inputs = ", ".join(f"{self.rows} {state}" for state in self.states)
        outputs = [f"{state}_next" for state in self.states]
        step = _STEPS[self.network.cell].format(d=direction) + _POOLING[self.network.pooling]
        if traced:
            step += "".join(f"\n{state}_now = Identity ({state}_next)" for state in self.states)
            ends += [f"{state}_seen" for state in self.states]
            outputs += [f"{state}_now" for state in self.states]
        body = f"""{direction}_step ({inputs}, int32[batch] token) => (
            {", ".join(f"{self.rows} {name}" for name in outputs)}) {{ {step} }}"""
        backward = "scan_input_directions = [1], " if direction == "backward" else ""
        return f"""
            {", ".join(ends)} = Scan <num_scan_inputs = 1, {backward}body = {body}> ({starts}, {tokens})
            """


def _pad(direction: str, steps: str) -> str:
    """Write the tokens that a direction walks through, with this many steps of padding before them."""
    return f"""
        {direction}_padding_shape = Concat <axis = 0> ({steps}, batch)
        {direction}_padding = ConstantOfShape <value = int32[1] {{0}}> ({direction}_padding_shape)
        {direction}_tokens = Concat <axis = 0> ({direction}_padding, tokens)
        """


def _model(text: str, constants: Constants) -> onnx.ModelProto:
    """Parse a graph's text and add the constants that it names."""
    graph = onnx.parser.parse_graph(text)
    named = {name for part in graphs_of(graph) for node in part.node for name in node.input}
    graph.initializer.extend(
        onnx.numpy_helper.from_array(array, name) for name, array in constants.items() if name in named
    )
    return onnx.helper.make_model(
        graph,
        producer_name="resenha",
        ir_version=_IR_VERSION,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
