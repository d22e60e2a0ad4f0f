"""Holds recipes as frozen dataclasses; a field's docstring is its help."""

import dataclasses
from dataclasses import dataclass

from pairlight.errors import ConfigError

# Pixels: past it a batch of 32 photos needs more memory than a laptop has.
MAX_SIDE = 1024
# What scikit-learn's k-means takes; numpy and torch take more.
MAX_SEED = 2**32 - 1
# Of rates and scales: 1 is too high a rate already, this keeps what follows from it in float32.
MAX_FACTOR = 1_000_000


def check(ok: bool, message: str) -> None:
    """Raise `ConfigError` with `message` unless `ok`."""
    if not ok:
        raise ConfigError(message)


def _check_in(key: str, value: float, low: float, high: float) -> None:
    check(low <= value <= high, f"{key} must be from {low} to {high}, got {value}")


@dataclass(frozen=True)
class ModelConfig:
    """The parts of the dual encoder."""

    image_encoder: str = "efficientnet_lite2"
    """resnet50, efficientnet_lite0, efficientnet_lite2, or timm:NAME for any timm model."""
    image_weights: str | None = None
    """State-dict file (.pth or .safetensors) to start the image encoder from; empty: its own."""
    text_encoder: str = "minilm"
    """minilm, or the name or local directory of a Hugging Face BERT."""
    pretrained: bool = True
    """Start from pretrained weights; false starts from random ones."""
    embed_dim: int = 256
    """Length of an embedding."""
    image_size: int = 224
    """Pixels along each side of the square the image encoder sees, best a multiple of 32."""
    max_tokens: int = 40
    """Captions are cut to this many tokens, the two special ones included."""
    image_pooling: str = "mean"
    """How regions become one vector: mean, max, attention or gpo (the last two are learned)."""
    text_pooling: str = "mean"
    """How tokens become one vector: mean, max, cls, attention or gpo."""
    projection: str = "mlp"
    """Projection head: linear, or mlp (residual, two layers)."""
    dropout: float = 0.1
    """Dropout inside the mlp projection head."""
    init_temperature: float = 0.07
    """Temperature at the start; the logit scale is its inverse."""
    max_logit_scale: float = 100.0
    """Upper clamp of the logit scale."""

    def __post_init__(self) -> None:
        check(self.embed_dim > 0, f"model.embed_dim must be positive, got {self.embed_dim}")
        _check_in("model.image_size", self.image_size, 32, MAX_SIDE)
        check(self.max_tokens >= 3, f"model.max_tokens must be at least 3, got {self.max_tokens}")
        check(0 <= self.dropout < 1, f"model.dropout must be in [0, 1), got {self.dropout}")
        check(self.init_temperature > 0, "model.init_temperature must be positive")
        _check_in("model.max_logit_scale", self.max_logit_scale, 1, MAX_FACTOR)


@dataclass(frozen=True)
class AugmentConfig:
    """What is varied in training; evaluation sees images and captions as they are."""

    crop_scale: float = 0.5
    """Smallest share of the area that a random resized crop keeps; 1 turns cropping off."""
    flip: float = 0.5
    """Chance of a left-right flip, for images none of whose sampled captions says left or right."""
    jitter: float = 0.3
    """Brightness, contrast and saturation vary by up to this share; 0 turns it off."""
    token_dropout: float = 0.1
    """Chance that a token is replaced by the mask token."""
    word_dropout: float = 0.0
    """Chance that a whole word is left out of a caption."""
    region_dropout: float = 0.0
    """Largest share of an image's regions that is left out before pooling."""
    mix: float = 0.0
    """Largest share of another photo that is laid over one; the captions of both count."""
    mix_prob: float = 0.5
    """Chance that another photo is laid over one."""
    image_size: int | None = None
    """Side of views in pixels; null: model.image_size. Crops enlarge things: smaller ones do."""
    seed: int = 0
    """Seed of views kept on disk, so that runs with several train.seed can share them."""

    def __post_init__(self) -> None:
        check(0 < self.crop_scale <= 1, f"augment.crop_scale: {self.crop_scale} is not in (0, 1]")
        drops = ("token_dropout", "word_dropout", "region_dropout")
        for name in ("flip", "jitter", "mix_prob", *drops):
            _check_in(f"augment.{name}", getattr(self, name), 0, 1)
        _check_in("augment.mix", self.mix, 0, 0.5)
        check(
            self.image_size is None or 32 <= self.image_size <= MAX_SIDE,
            f"augment.image_size must be null or from 32 to {MAX_SIDE}, got {self.image_size}",
        )
        _check_in("augment.seed", self.seed, 0, MAX_SEED)


@dataclass(frozen=True)
class StageConfig:
    """One stage of staged unfreezing, with its own warm-up and cosine decay."""

    name: str = "heads"
    """Its name in logs; the best checkpoint of the stage is kept as best_NAME_DIM.pth."""
    epochs: int = 10
    """Passes over the training images."""
    image_blocks: int = 0
    """How many of the image encoder's last blocks are trained; 0 freezes it."""
    text_layers: int = 0
    """How many of the text encoder's last layers are trained; 0 freezes it."""
    batch_size: int = 128
    """Images per step; more images are more negatives."""
    captions_per_image: int = 2
    """Captions drawn per image and step; they are joint positives."""
    lr: float = 1e-3
    """Peak learning rate of projection heads and logit scale."""
    image_lr: float = 0.0
    """Peak learning rate of the unfrozen image blocks."""
    text_lr: float = 0.0
    """Peak learning rate of the unfrozen text layers."""
    warmup: float = 0.1
    """Share of the stage's steps over which rates rise from zero."""
    min_lr: float | None = None
    """Share of the peak rates that the cosine decays to, 1: no decay; null: train.min_lr."""
    views: int = 0
    """Augmented views of each photo that go through the frozen blocks once and are kept on disk;
    epochs take turns with them. 0: a new view an epoch (in a frozen stage photos as they are)."""

    def __post_init__(self) -> None:
        check(self.batch_size >= 2, f"stage {self.name}: batch_size must be at least 2")
        for name in ("epochs", "captions_per_image"):
            check(getattr(self, name) > 0, f"stage {self.name}: {name} must be positive")
        for name in ("image_blocks", "text_layers", "image_lr", "text_lr", "views"):
            check(getattr(self, name) >= 0, f"stage {self.name}: {name} must not be negative")
        check(self.lr > 0, f"stage {self.name}: lr must be positive")
        for name in ("lr", "image_lr", "text_lr"):
            _check_in(f"stage {self.name}: {name}", getattr(self, name), 0, MAX_FACTOR)
        for part, rate in (("image_blocks", "image_lr"), ("text_layers", "text_lr")):
            check(
                (getattr(self, part) > 0) == (getattr(self, rate) > 0),
                f"stage {self.name}: {part} and {rate} go together, both positive or both 0",
            )
        check(self.name.lower() != "model", "a stage cannot be named 'model': best_model is taken")
        check(0 <= self.warmup < 1, f"stage {self.name}: warmup must be in [0, 1)")
        _check_in(f"stage {self.name}: min_lr", self.min_lr or 0, 0, 1)
        check(
            self.name.replace("_", "").replace("-", "").isalnum(),
            f"stage name {self.name!r} must be letters, digits, - and _: it names a file",
        )

    @property
    def frozen(self) -> bool:
        """Whether both encoders rest, so that their features can be computed once."""
        return self.image_blocks == 0 and self.text_layers == 0


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    seed: int = 0
    """Seed of every random choice."""
    runs: int = 1
    """How often the stages that train encoders are run, each time with the next seed and from the
    same heads; the result is their greedy average: the best, and others as long as they help."""
    head_init: str = "random"
    """How heads start: random, or cca (canonical correlations of features; projection: linear)."""
    head_ridge: float = 5.0
    """Regularisation of cca, as a multiple of the features' mean variance."""
    loss: str = "info_nce"
    """info_nce, or sigmoid; captions of one image are joint positives in both."""
    hard_negatives: float = 0.0
    """Weight of the triplet loss on the hardest negative of the batch, added to the loss."""
    hard_negatives_after: int = 1
    """Epochs of a stage without hard negatives, which mislead a model that knows nothing yet."""
    caption_pairs: float = 0.0
    """Weight of the loss among captions alone: those of one image belong together."""
    soft_targets: float = 0.0
    """Share of the loss that takes captions alike (to the untrained encoder) as partly right."""
    soft_temperature: float = 0.05
    """Temperature of the softened targets; lower is harder."""
    teachers: tuple[str, ...] = ()
    """Checkpoints, exported folders or `pretrained` to learn from; `distillation` says how much."""
    distillation: float = 0.0
    """Share of the loss whose targets are the mean of the teachers' logits for the same batch."""
    class_names: float = 0.0
    """Weight of the loss that keeps what the image encoder's own classifier tells: that a photo is
    near to the names of the classes seen in it; `head_init: cca` counts them as captions, too."""
    scale_rate: float = 1.0
    """The logit scale's learning rate, as a multiple of the heads'."""
    interpolate: bool = False
    """When training has ended, try image encoders on the line from the start to the trained one,
    and keep the one with which held-out photos are found best."""
    self_distillation: int = 0
    """Epochs, when training has ended, in which the image encoder learns to give at one look what
    it gives at several, on average; kept if held-out photos are found better; 0: none."""
    hub_prototypes: int = 0
    """Size of the correction of hubs that is fitted when training has ended, in prototypes of the
    training photos and captions, and kept if held-out photos are found better; 0: none."""
    ema: float = 0.0
    """Decay of a running average of the weights, which is validated and kept; 0: the weights."""
    weight_decay: float = 0.05
    """AdamW weight decay; biases, norms and the logit scale are exempt."""
    grad_clip: float = 1.0
    """Largest gradient norm; larger ones are scaled down."""
    min_lr: float = 0.02
    """Share of the peak rate that the cosine decays to."""
    patience: int = 5
    """A stage stops early after this many epochs without a better validation rsum."""
    precision: str = "auto"
    """auto (the fastest found by a short probe), bf16, fp16 or fp32."""
    chunk: int = 32
    """Images that go through the encoder at once; more images a step are done in chunks."""
    gradient_caching: bool | None = None
    """Compute activations of each chunk again for its gradient: memory follows `chunk`, not the
    batch size, and a step takes about a quarter longer. null: where a batch would not fit."""
    threads: int = 2
    """Threads that load and augment images beside training."""

    def __post_init__(self) -> None:
        _check_in("train.seed", self.seed, 0, MAX_SEED)
        check(1 <= self.runs <= 100, f"train.runs must be in [1, 100], got {self.runs}")
        check(
            self.head_init in ("random", "cca"),
            f"unknown train.head_init {self.head_init!r}; choose from random, cca",
        )
        check(self.head_ridge > 0, "train.head_ridge must be positive")
        check(self.weight_decay >= 0, "train.weight_decay must not be negative")
        check(self.grad_clip > 0, "train.grad_clip must be positive")
        for name in ("hard_negatives", "hard_negatives_after", "caption_pairs", "class_names"):
            check(getattr(self, name) >= 0, f"train.{name} must not be negative")
        _check_in("train.scale_rate", self.scale_rate, 0, MAX_FACTOR)
        check(0 <= self.soft_targets <= 1, "train.soft_targets must be in [0, 1]")
        check(0 <= self.distillation <= 1, "train.distillation must be in [0, 1]")
        check(
            bool(self.teachers) == (self.distillation > 0),
            "train.teachers and train.distillation go together: name both or neither",
        )
        check(self.soft_temperature > 0, "train.soft_temperature must be positive")
        check(0 <= self.ema < 1, f"train.ema must be in [0, 1), got {self.ema}")
        _check_in("train.hub_prototypes", self.hub_prototypes, 0, 65536)
        check(self.self_distillation >= 0, "train.self_distillation must not be negative")
        check(self.patience > 0, "train.patience must be positive")
        check(self.chunk > 0, "train.chunk must be positive")
        check(self.threads > 0, "train.threads must be positive")
        check(0 <= self.min_lr <= 1, "train.min_lr must be in [0, 1]")
        check(
            self.precision in ("auto", "bf16", "fp16", "fp32"),
            f"unknown train.precision {self.precision!r}; choose from auto, bf16, fp16, fp32",
        )


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run, apart from the data."""

    name: str = "small"
    """The recipe's name in logs and results."""
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    """The parts of the dual encoder."""
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    """What is varied in training."""
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    """How the model is trained."""
    stages: tuple[StageConfig, ...] = (StageConfig(),)
    """Staged unfreezing, in order."""

    def __post_init__(self) -> None:
        check(len(self.stages) > 0, "a recipe needs at least one stage")
        names = [stage.name for stage in self.stages]
        if self.train.head_init == "cca":
            first = self.stages[0]
            check(
                self.model.projection == "linear" and (first.frozen or first.views > 0),
                "train.head_init: cca needs model.projection: linear, and a first stage with "
                "frozen encoders or with views; train.head_init=random does not",
            )
        check(
            self.train.hub_prototypes == 0 or self.model.embed_dim > 2,
            "train.hub_prototypes needs model.embed_dim of 3 or more",
        )
        t = self.train
        check(
            not self.augment.mix
            or (t.loss, t.soft_targets, t.distillation, t.hard_negatives) == ("info_nce", 0, 0, 0),
            "set augment.mix=0 with train.loss sigmoid, soft_targets, teachers or hard_negatives",
        )
        distinct = {name.lower() for name in names}  # they name files
        check(len(distinct) == len(names), f"two stages share a name: {', '.join(names)}")

    @property
    def view_size(self) -> int:
        """Side of augmented views in pixels."""
        return self.augment.image_size or self.model.image_size
