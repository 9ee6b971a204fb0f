"""The lean graph: a trained recurrent network written straight into few, standard operators.

What makes it fast: the embedding, multiplied by the input kernel and with the bias added, becomes
one table when the graph is loaded, so a step of the first layer looks a row up and multiplies by the
recurrent kernel; layers above it multiply by theirs once for all steps; the states after 16, 32, 48 ...
steps of padding stand in a table, so left padding is not walked through; the pooling runs along as more
states.
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
from pipeline.graphs.pieces import ngram_sums, pad_tokens, turn_round
from pipeline.graphs.quantized import expansion, store_weights
from pipeline.graphs.steps import (
    FEATURES,
    LOOK_UP,
    OF_PADDING,
    POOLED_STATES,
    POOLING,
    STATES,
    STEPS,
    SUMS,
)
from pipeline.network_shape import (
    ATTENTION_LIMIT,
    HASH_FACTOR,
    HASH_MODULUS,
    STORED_SMALL,
    cell_names,
    weight_names,
)
from pipeline.recipe import NetworkSettings, Storage
from pipeline.runtime.scorer import INPUT, OUTPUT, open_session

_IR_VERSION = 8
_STRIDE = 16
"""Steps of padding from one state that is kept to the next: the table takes a sixteenth of the room, for
at most fifteen steps more."""
_LOWEST = float(np.finfo(np.float32).min)

Floats = NDArray[np.float32]
Constants = dict[str, NDArray[Any]]


def export_lean(
    weights: Sequence[Floats], network: NetworkSettings, max_length: int, storage: Storage
) -> onnx.ModelProto:
    """Write a trained network as a lean graph.

    Args:
        weights: As ``keras.Model.get_weights`` gives them; see ``network_shape.weight_names``.
        network: What the weights belong to.
        max_length: Ids per row that the network was trained on.
        storage: How the embedding and the n-grams' weights are stored.

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

    def states(self, layer: int) -> tuple[str, ...]:
        """Name what a step hands on to the next one; the poolings are of the last layer."""
        pooled = [name for kind in self.network.pooling for name in POOLED_STATES[kind]]
        return (*STATES[self.network.cell], *(pooled if layer == self.network.layers else ()))

    def width(self, state: str) -> int:
        return 1 if state == "whole" else self.network.units

    def type_of(self, state: str) -> str:
        return f"float[batch, {self.width(state)}]"

    def name_weights(self, weights: Sequence[Floats]) -> Constants:
        """Name the trained weights, and the numbers that the graph's text uses."""
        trained = dict(zip(weight_names(self.network), weights, strict=True))
        attention = trained.pop("attention", ())
        small = {name: trained.pop(name) for name in STORED_SMALL if name in trained}
        blocks = np.array(OF_PADDING[self.network.cell], np.float32)
        of_padding = np.repeat(blocks, self.network.units)[None]
        units = self.network.units
        numbers = {
            "gates_candidate": [2 * units, units],
            "max_length": [self.max_length],
            "stride": [_STRIDE],
            "first_kept": [-self.max_length],
            "end": [np.iinfo(np.int64).max],
            "axis": [0],
            "first": [0],
            "one": [1],
            "two": [2],
            "flat": [-1],
            "last": [-1],
            "before_first": [np.iinfo(np.int64).min],
            "backward": [-1],
            "no_word": 0,
            "hash_factor": HASH_FACTOR,
            "hash_modulus": HASH_MODULUS,
            "buckets": self.network.ngrams.buckets if self.network.ngrams else 0,
            **{f"width_{width}": [width] for width in (1, units)},
        }
        return {
            **store_weights(small, self.storage),
            **trained,
            **{
                f"{way}_{self.network.layers}_importance": importance[:, None]
                for way, importance in zip(self.network.directions, attention, strict=False)
            },
            **{f"{cell}_of_padding": of_padding for cell in cell_names(self.network)},
            "attention_limit": np.array(ATTENTION_LIMIT, np.float32),
            "least": np.array(np.finfo(np.float32).tiny, np.float32),
            "steps": np.array(self.max_length, np.float32),
            "one_word": np.array(1, np.float32),
            "padding": np.array(0, np.int32),
            **{name: np.array(value, np.int64) for name, value in numbers.items()},
        }

    def states_after_padding(self, constants: Constants) -> Constants:
        """Run the forward recurrence over nothing but padding and keep a state every few steps.

        ONNX Runtime runs it, so that the states are those it would reach itself, bit for bit. Two
        rows, since it multiplies a single row in another order.
        """
        states = self.states(1)
        seen = [f"forward_1_{state}_seen" for state in states]
        outputs = ", ".join(f"float[time, batch, {self.network.units}] {name}" for name in seen)
        text = f"""
            padding (int32[time, batch] tokens) => ({outputs}) {{
                {self.tables()}
                batch = Shape <start = 1, end = 2> (tokens)
                {self.fresh_start("forward_1")}
                {self.scan("forward_1", "tokens", shown=states)}
            }}"""
        session = open_session(_model(text, constants).SerializeToString())
        tokens = np.zeros((self.max_length, 2), np.int32)
        traces = dict(zip(states, session.run(seen, {"tokens": tokens}), strict=True))
        fresh = {
            state: np.full((1, self.network.units), self.at_first(state), np.float32) for state in states
        }
        whole = {state: np.concatenate([fresh[state], trace[:, 0]]) for state, trace in traces.items()}
        return {f"{state}_after_padding": rows[::_STRIDE] for state, rows in whole.items()}

    def at_first(self, state: str) -> float:
        """Give what a state holds before the first step."""
        return _LOWEST if state == "max" and not self.network.masked else 0.0

    def scoring_graph(self) -> str:
        """Write the graph from token ids to scores."""
        walks = self.walks_over_words() if self.network.masked else self.walks_over_all()
        return f"""
            resenha (int32[batch, time] {INPUT}) => (float[batch] {OUTPUT}) {{
                {self.tables()}
                turned = Transpose <perm = [1, 0]> ({INPUT})
                tokens = Slice (turned, first_kept, end, axis)
                batch = Shape <start = 1, end = 2> (tokens)
                {walks}
                {self.features()}
                logit = Gemm (features, dense_kernel, dense_bias)
                probability = Sigmoid (logit)
                {OUTPUT} = Reshape (probability, flat)
            }}"""

    def tables(self) -> str:
        """Write what is worked out when the graph is loaded."""
        text = "".join(expansion(name, self.storage) for name in STORED_SMALL if self.has(name))
        for way in self.network.directions:
            cell, sums = f"{way}_1", f"{way}_1_sums"
            if not self.network.masked:
                text += SUMS[self.network.cell].format(d=cell, source="embedding", sums=sums)
                continue
            # Padding's row of the table becomes one that leaves states as they are before the first word.
            text += SUMS[self.network.cell].format(d=cell, source="embedding", sums=f"{sums}_of_all")
            text += f"""
                {cell}_words = Slice ({sums}_of_all, one, end, axis)
                {sums} = Concat <axis = 0> ({cell}_of_padding, {cell}_words)
                """
        return text

    def has(self, name: str) -> bool:
        return name in weight_names(self.network)

    def walks_over_all(self) -> str:
        """Write the walks over a review and the padding before it."""
        walks = """
            time = Shape <start = 0, end = 1> (tokens)
            missing = Sub (max_length, time)
            """
        walks += self.start_after_padding("forward_1") + self.scan("forward_1", "forward_1_tokens")
        if self.network.bidirectional:
            # From its end, a review comes before its padding, whose steps cannot be looked up.
            walks += pad_tokens("backward_1", "missing") + self.fresh_start("backward_1")
            walks += self.scan("backward_1", "backward_1_tokens")
        return walks

    def walks_over_words(self) -> str:
        """Write walks that begin at 0 with the first word: padding comes before it, and changes nothing.

        Read from its end, a review's words stand in their order before its padding: the walk backward turns
        both round.
        """
        network = self.network
        walks = """
            is_word = Greater (tokens, padding)
            word_of_row = Cast <to = 1> (is_word)
            counted = ReduceSum <keepdims = 0> (word_of_row, axis)
            words = Max (counted, one_word)
            words_of_row = Unsqueeze (words, one)
            length = Cast <to = 7> (words)
            is_word_forward = Unsqueeze (is_word, two)
            word_forward = Unsqueeze (word_of_row, two)
            """
        if network.bidirectional:
            walks += turn_round("tokens", "backward_tokens") + turn_round("word_forward", "word_backward")
            walks += "is_word_backward = Cast <to = 9> (word_backward)"
        for layer in range(1, network.layers + 1):
            for way in network.directions:
                cell, is_last = f"{way}_{layer}", layer == network.layers
                read = "backward_tokens" if way == "backward" else "tokens"
                if layer > 1:
                    read = f"{cell}_sums"
                    walks += self.sums_of_layer(cell, way, f"seen_{layer - 1}")
                walks += self.fresh_start(cell) + self.scan(cell, read, shown=() if is_last else ("h",))
            if not is_last:
                walks += self.side_by_side(layer)
        return walks

    def sums_of_layer(self, cell: str, way: str, source: str) -> str:
        text = ""
        if way == "backward":
            text = turn_round(source, f"{cell}_source")
            source = f"{cell}_source"
        text += SUMS[self.network.cell].format(d=cell, source=source, sums=f"{cell}_sums_of_all")
        return text + f"{cell}_sums = Where (is_word_{way}, {cell}_sums_of_all, {cell}_of_padding)\n"

    def side_by_side(self, layer: int) -> str:
        """Write what the layer above reads: the states of both ways, each where its word stands."""
        if not self.network.bidirectional:
            return f"seen_{layer} = Identity (forward_{layer}_h_seen)\n"
        turned = turn_round(f"backward_{layer}_h_seen", f"backward_{layer}_in_order", is_back=True)
        return turned + (
            f"seen_{layer} = Concat <axis = 2> (forward_{layer}_h_seen, backward_{layer}_in_order)\n"
        )

    def start_after_padding(self, cell: str) -> str:
        lines = [
            "row = Div (missing, stride)",
            "looked_up = Mul (row, stride)",
            "to_walk = Sub (missing, looked_up)",
            pad_tokens(cell, "to_walk"),
            f"state_shape = Concat <axis = 0> (batch, width_{self.network.units})",
        ]
        for state in self.states(1):
            lines += [
                f"{state}_row = Gather ({state}_after_padding, row)",
                f"{cell}_{state}_start = Expand ({state}_row, state_shape)",
            ]
        return "\n".join(lines)

    def fresh_start(self, cell: str) -> str:
        lines = []
        for state in self.states(int(cell.partition("_")[2])):
            value = f"value = float[1] {{{self.at_first(state)!r}}}"
            lines += [
                f"{cell}_{state}_shape = Concat <axis = 0> (batch, width_{self.width(state)})",
                f"{cell}_{state}_start = ConstantOfShape <{value}> ({cell}_{state}_shape)",
            ]
        return "\n".join(lines)

    def scan(self, cell: str, read: str, *, shown: Sequence[str] = ()) -> str:
        """Write the loop over ``read``, token ids or sums; ``shown`` states are given for each step."""
        way, _, layer = cell.partition("_")
        states, given = self.states(int(layer)), [read]
        inputs = ["int32[batch] token" if layer == "1" else "float[batch, sums] x"]
        step = (LOOK_UP if layer == "1" else "") + STEPS[self.network.cell]
        if int(layer) == self.network.layers:
            step += "".join(POOLING[kind] for kind in self.network.pooling)
        if "whole" in states:
            inputs.append("float[batch, 1] word")
            given.append(f"word_{way}")
        step = step.format(d=cell) + "".join(f"\n{state}_now = Identity ({state}_next)" for state in shown)
        arguments = [f"{self.type_of(state)} {state}" for state in states] + inputs
        outputs = [f"{self.type_of(state)} {state}_next" for state in states]
        outputs += [f"{self.type_of(state)} {state}_now" for state in shown]
        ends = [f"{cell}_{state}_end" for state in states] + [f"{cell}_{state}_seen" for state in shown]
        attributes = [f"num_scan_inputs = {len(given)}"]
        if way == "backward":
            attributes.append(f"scan_input_directions = {[1] * len(given)}")
            attributes += [f"scan_output_directions = {[1] * len(shown)}"] if shown else []
        body = f"{cell}_step ({', '.join(arguments)}) => ({', '.join(outputs)}) {{ {step} }}"
        starts = [f"{cell}_{state}_start" for state in states]
        return (
            f"{', '.join(ends)} = Scan <{', '.join(attributes)}, body = {body}> "
            f"({', '.join([*starts, *given])})\n"
        )

    def features(self) -> str:
        network, names, text = self.network, [], ""
        steps = "words_of_row" if network.masked else "steps"
        for kind in network.pooling:
            for way in network.directions:
                cell = f"{way}_{network.layers}"
                text += FEATURES[kind].format(d=cell, steps=steps)
                names.append(f"{cell}_{kind}")
        if network.ngrams:
            text += "".join(ngram_sums(network.ngrams.longest))
            names.append("ngram_sum")
        return text + f"features = Concat <axis = 1> ({', '.join(names)})"


def _model(text: str, constants: Constants) -> onnx.ModelProto:
    """Parse a graph's text, leave out what nothing asks for, and add the constants that it names."""
    graph = onnx.parser.parse_graph(text)
    wanted = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if wanted.isdisjoint(node.output):
            graph.node.remove(node)
            continue
        inner = (part for attribute in node.attribute if attribute.g.node for part in graphs_of(attribute.g))
        wanted.update(node.input, *(each.input for part in inner for each in part.node))
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
