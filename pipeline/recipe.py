"""A recipe: every setting of one training run, in one TOML file."""

from __future__ import annotations

import difflib
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.errors import RecipeError
from pipeline.ranges import RANGES, read_ranges
from pipeline.runtime.text import HtmlBreaks, TextRule

CorpusName = Literal["auto", "imdb", "aclimdb", "files", "sample"]
Storage = Literal["float32", "int8", "int4"]
Pooling = Literal["last", "mean", "max", "attention"]
FULL_STORAGE: Storage = "float32"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_PATHS = ("train", "test", "unlabelled")
"""Settings of the corpus that name files of the user's."""


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


class CorpusSettings(_Settings):
    """Where reviews come from."""

    name: CorpusName = "auto"
    """``auto``: ``imdb`` where it is cached or can be fetched, else ``sample``."""
    duplicates: Literal["keep", "remove"] = "keep"
    """``remove``: a text is learnt from once, and not at all if it is a test review."""
    train: str | None = None
    """``files`` only: a CSV, TSV or JSON-lines file, or a folder with a folder per label."""
    test: str | None = None
    """``files`` only: the same for the test split; without it ``test_share`` is split off."""
    unlabelled: str | None = None
    """``files`` only: reviews without a label, for a teacher to label: a file with the text column, or a
    folder of ``.txt``. Read only if ``[teacher]`` asks for them."""
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    text_column: str = "text"
    label_column: str = "label"
    negative: str = "negative"
    """``files`` only: how the negative label is written; also its name in scores."""
    positive: str = "positive"

    @model_validator(mode="after")
    def _check_files(self) -> CorpusSettings:
        if self.name == "files" and self.train is None:
            msg = "corpus.train is missing: it names the reviews of the corpus 'files'"
            raise ValueError(msg)
        for key in ("train", "unlabelled"):
            if self.name != "files" and getattr(self, key) is not None:
                msg = f"corpus.{key} is for the corpus 'files', and corpus.name is {self.name!r}"
                raise ValueError(msg)
        if self.negative == self.positive:
            msg = f"corpus.negative and corpus.positive are both {self.negative!r}"
            raise ValueError(msg)
        return self


class TextSettings(_Settings):
    """The text rule; see ``pipeline.runtime.text``."""

    num_words: Annotated[int, Field(ge=5, le=1_000_000)]
    """Ids in all, the ids 0 to 3 included."""
    max_length: Annotated[int, Field(ge=1, le=10_000)]
    """Ids a review is padded or cut to."""
    html_breaks: HtmlBreaks = "keep"


class NgramSettings(_Settings):
    """A weight for every run of words; those of a review add up to one more feature.

    They stand in a table by their hash, so runs that were never seen, and that share a row, cost nothing.
    """

    longest: Annotated[int, Field(ge=1, le=4)]
    """Words of the longest runs; the shorter ones count too."""
    buckets: Annotated[int, Field(ge=64, le=2**24, multiple_of=64)]
    """Rows of the table."""


class NetworkSettings(_Settings):
    """Embedding → recurrent layers → pooling over the steps → one sigmoid."""

    cell: Literal["simple", "gru", "lstm", "mingru"]
    """``mingru`` has gates that know the word alone: it is trained without walking the sequence, and scores
    without a matrix product."""
    embedding_size: Annotated[int, Field(ge=1, le=1024)]
    units: Annotated[int, Field(ge=1, le=1024)]
    """Per direction."""
    bidirectional: bool = False
    """A second cell reads the review from its end; what both found is put side by side."""
    layers: Annotated[int, Field(ge=1, le=8)] = 1
    """Cells one above the other; each reads the states of the one below. More than one needs ``masked``."""
    pooling: Annotated[list[Pooling], Field(min_length=1)] = ["last"]
    """What of the states goes on, one kind or several side by side: the last one, or their mean or largest
    value over all ``max_length`` steps, those over padding included; or a mean that is weighted by what the
    network takes for important (``attention``, which needs ``masked``)."""
    masked: bool = False
    """Padding is nothing: cells begin at 0 with the first word, and the pooling is over words only, where
    the largest value counts from 0 on."""
    ngrams: NgramSettings | None = None
    """Runs of words beside the recurrence."""

    @field_validator("pooling", mode="before")
    @classmethod
    def _one_is_a_list(cls, given: object) -> object:
        return [given] if isinstance(given, str) else given

    @model_validator(mode="after")
    def _check_shape(self) -> NetworkSettings:
        if len(set(self.pooling)) < len(self.pooling):
            msg = f"network.pooling names a kind twice: {', '.join(self.pooling)}"
            raise ValueError(msg)
        if not self.masked and (self.layers > 1 or "attention" in self.pooling):
            msg = "network.layers above 1 and the pooling 'attention' need network.masked = true"
            raise ValueError(msg)
        return self

    @property
    def directions(self) -> tuple[str, ...]:
        """Ways in which a review is read."""
        return ("forward", "backward") if self.bidirectional else ("forward",)


class TeacherSettings(_Settings):
    """A slow model that says first how it would score each review; the network learns from that, too.

    It is an NB-SVM; see ``pipeline.nb_svm``.
    """

    ngrams: Annotated[int, Field(ge=1, le=4)] = 3
    """Most words of a run that it counts as one feature."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Parts of the labelled reviews, each of which it scores after learning from the others."""
    share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of its score against that of the label, where there is a label; 0: the label alone."""
    temperature: Annotated[float, Field(gt=0, le=100)] = 2.0
    """What its logits are divided by: from 1 on, the larger, the nearer its scores are to one half."""
    unlabelled: bool = True
    """Learn from the corpus's unlabelled reviews, too, by its scores alone."""


class PretrainingSettings(_Settings):
    """What a network learns from the words alone, before it learns from labels."""

    window: Annotated[int, Field(ge=1, le=50)] = 5
    """Words on either side that are a word's company, of which its first vector is made."""
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    """Of the language model: from each state the next words are foretold, in a stretch of every review."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.01
    """Of the language model, its highest; it rises and falls as a triangular ``training.schedule``."""


class TrainingSettings(_Settings):
    """How the network learns; the words are those of ``keras.Model.compile`` and ``fit``."""

    optimizer: Literal["rmsprop", "adam"]
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.001
    """Keras's own default for both optimizers."""
    epochs: Annotated[int, Field(ge=1, le=1000)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)]
    validation_split: Annotated[float, Field(gt=0, lt=1)]
    """Share of the training reviews, the last ones of the order below, never learnt from."""
    order: Literal["shuffled", "as_given"] = "shuffled"
    """``shuffled``: as ``keras.datasets.imdb.load_data`` does it, by ``order_seed``."""
    order_seed: Annotated[int, Field(ge=0, lt=2**32)] = 113
    """The default is Keras's."""
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    """Start weights, the order of batches, and what is left out of them."""
    bucket_by_length: bool = False
    """Reviews of like length share a batch, and batches come in an order that is drawn. Where the network
    leaves padding out, there is less of it to walk. The batches are others, so what is learnt is, too."""
    schedule: Literal["constant", "triangular"] = "constant"
    """``triangular``: the learning rate rises from nothing over the first tenth of all batches, and falls
    back over the others (Howard and Ruder, *Universal language model fine-tuning*, 2018)."""
    word_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the words that the network is told it does not know, anew each time."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the last layer's features that are left out, anew each time."""
    ngrams_apart: bool = False
    """The recurrence and ``network.ngrams`` each learn to tell the label without the other, and the network
    is their mean: two that err in different places are worth more than two that rely on each other."""
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    """Norm that all gradients of a batch together are scaled down to where theirs is larger, as it is done by
    ``global_clipnorm`` of Keras's optimizers (Pascanu et al., *On the difficulty of training recurrent neural
    networks*, 2013); absent: they are taken as they are. ``pipeline.networks.optimizers`` tells what the rows
    of a table add to that norm."""
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """What counts are moving averages of the weights, which keep this share of themselves at each batch, less
    at first (Polyak and Juditsky 1992); 0 takes the weights themselves."""
    keep: Literal["last", "best"] = "last"
    """Weights of the last epoch, or of the one with the least validation loss."""
    calibrate: bool = False
    """Afterwards stretch and shift the last sum so that scores on the validation reviews are frequencies."""


class ExportSettings(_Settings):
    """How the network is written down for the edge."""

    weights: Storage = FULL_STORAGE
    """How the embedding is stored; it is most of a bundle. ``int8`` and ``int4`` take a quarter and
    an eighth of the room, with a scale per word, and are expanded when the graph is loaded. Where
    a gate finds that too much is lost, float32 is published and the manifest says why."""


class EvaluationSettings(_Settings):
    """How scores become labels."""

    threshold: Literal["validation"] | Annotated[float, Field(gt=0, lt=1)] = 0.5
    """``validation``: the one with the best accuracy on the validation reviews."""


class GateSettings(_Settings):
    """Limits past which a bundle is refused."""

    above_chance: Annotated[float, Field(ge=0, lt=0.5)] = 0.05
    """What the lower end of the accuracy's 95 % interval has over always saying one label."""
    max_one_label_share: Annotated[float, Field(gt=0.5, lt=1)] = 0.99
    """Largest share of test reviews that may get the same label."""
    minimum_accuracy: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Accuracy that the test reviews have to show before a bundle is promoted; 0 asks for none."""
    max_degradation: Annotated[float, Field(ge=0, le=1)] = 0.005
    """Accuracy that may be lost against the promoted bundle on the same test reviews."""
    parity_tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 5e-5
    """Largest difference of a score between Keras and ONNX Runtime. Honest graphs differ by rounding
    that 500 steps amplify: 5.5e-6 was the most on 15,000 rows of the recipe ``seed``."""
    company_tolerance: Annotated[float, Field(gt=0, le=1e-3)] = 1e-6
    """Largest difference of a review's score between one batch and another."""
    max_quantization_loss: Annotated[float, Field(ge=0, le=1)] = 0.002
    """Accuracy that int8 or int4 weights may cost."""
    max_quantization_changes: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of test reviews whose label int8 or int4 weights may change."""


class Recipe(_Settings):
    """Every setting of one training run."""

    name: str
    """File name without ``.toml``; names the runs' and the bundles' folders."""
    description: str
    corpus: CorpusSettings = CorpusSettings()
    text: TextSettings
    network: NetworkSettings
    teacher: TeacherSettings | None = None
    """None: the network learns from the labels alone."""
    pretraining: PretrainingSettings | None = None
    """None: the network begins with weights that are drawn."""
    training: TrainingSettings
    evaluation: EvaluationSettings = EvaluationSettings()
    export: ExportSettings = ExportSettings()
    gates: GateSettings = GateSettings()
    ranges: dict[str, Any] = {}
    """For ``resenha tune`` alone, which tries them: by a setting's dotted name ``[16, 32, 64]``, or
    ``{ from = 0.0005, to = 0.01, scale = "log" }``. No stage and no bundle sees them."""

    @model_validator(mode="after")
    def _check_ranges(self) -> Recipe:
        read_ranges(self, self.ranges)
        return self

    @model_validator(mode="after")
    def _check_pairs(self) -> Recipe:
        size = self.network.embedding_size
        if self.export.weights == "int4" and size % 2:
            msg = f"export.weights is 'int4', two to a byte: network.embedding_size {size} has to be even"
            raise ValueError(msg)
        if self.training.ngrams_apart and not self.network.ngrams:
            msg = "training.ngrams_apart needs network.ngrams"
            raise ValueError(msg)
        return self

    def to_record(self) -> dict[str, Any]:
        """Give the recipe as JSON can hold it; of a user's paths, the last name only."""
        record = self.model_dump(mode="json", exclude={RANGES})
        for key in _PATHS:
            if record["corpus"][key] is not None:
                record["corpus"][key] = Path(record["corpus"][key]).name
        return record

    @property
    def wants_unlabelled(self) -> bool:
        """Whether there is a teacher that is to label reviews, or without one, pretraining to read them."""
        return self.teacher.unlabelled if self.teacher else self.pretraining is not None

    @property
    def text_rule(self) -> TextRule:
        """The text rule as the runtime takes it."""
        text = self.text
        return TextRule(text.num_words, text.max_length, text.html_breaks)


def shipped_recipes() -> list[str]:
    """Name the recipes that come with the project."""
    folder = resources.files("pipeline") / "recipes"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def check_file_name(path: Path) -> None:
    """Refuse a name that no recipe's file can have.

    Raises:
        RecipeError: If it does not end in ``.toml``, or what it names cannot name folders.
    """
    if path.suffix != ".toml":
        msg = f"{path.name!r} is no name for a recipe's file: it has to end in .toml"
        raise RecipeError(msg)
    if not _NAME.fullmatch(path.stem):
        msg = f"the recipe's file name {path.name!r} names folders: use a-z, 0-9, - and _ only"
        raise RecipeError(msg)


def load_recipe(name: str) -> Recipe:
    """Load a shipped recipe by its name, or a user's by the path of its TOML file.

    Paths inside a user's recipe are taken from the recipe's own folder.

    Raises:
        RecipeError: If it is not there, is no TOML, or holds a setting that cannot be used; the
            message names each setting.
    """
    if name.endswith(".toml"):
        path = Path(name)
        name = path.stem
        check_file_name(path)
        try:
            content = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            msg = f"the recipe {path} cannot be read: {error}"
            raise RecipeError(msg) from error
        return parse_recipe(name, content, folder=path.parent)
    if name not in shipped_recipes():
        msg = f"there is no recipe {name!r}; shipped are {', '.join(shipped_recipes())}, or name a .toml file"
        raise RecipeError(msg)
    return parse_recipe(name, (resources.files("pipeline") / "recipes" / f"{name}.toml").read_text("utf-8"))


def parse_recipe(name: str, content: str, *, folder: Path | None = None) -> Recipe:
    """Turn TOML into a checked recipe.

    Raises:
        RecipeError: As ``load_recipe``.
    """
    try:
        table = tomllib.loads(content)
        if "name" in table:
            msg = f"recipe {name}: 'name' is the file's name; leave the key out"
            raise RecipeError(msg)
        recipe = Recipe.model_validate({"name": name, **table})
    except tomllib.TOMLDecodeError as error:
        msg = f"recipe {name} is not TOML: {error}"
        raise RecipeError(msg) from error
    except ValidationError as error:
        problems = "; ".join(
            _describe(problem["loc"], problem["msg"], problem["type"], problem["input"])
            for problem in error.errors()
        )
        msg = f"recipe {name}: {problems}"
        raise RecipeError(msg) from error
    return _with_paths_from(folder, recipe) if folder else recipe


def _describe(place: tuple[int | str, ...], message: str, kind: str, found: object) -> str:
    where = ".".join(str(part) for part in place if part not in ("literal['validation']", "float"))
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(place[-1]), _all_settings(), n=1)
        return f"{where} is not a setting" + (f" (did you mean {close[0]}?)" if close else "")
    if kind == "missing":
        return f"{where} is missing"
    if kind == "value_error":
        return message.removeprefix("Value error, ")
    return f"{where} is {found!r}: {message[0].lower()}{message[1:]}"


def _all_settings(model: type[BaseModel] | None = None) -> list[str]:
    names = []
    for name, field in (model or Recipe).model_fields.items():
        names.append(name)
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                names += _all_settings(kind)
    return names


def _with_paths_from(folder: Path, recipe: Recipe) -> Recipe:
    given = {key: getattr(recipe.corpus, key) for key in _PATHS}
    found = {key: str(folder / value) for key, value in given.items() if value is not None}
    return recipe.model_copy(update={"corpus": recipe.corpus.model_copy(update=found)})
