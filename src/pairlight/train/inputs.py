"""Chooses where a stage's batches come from: features kept on disk, or photos anew."""

from collections.abc import Iterator
from pathlib import Path

from pairlight.config import AugmentConfig, Recipe, StageConfig
from pairlight.data.dataset import CaptionedPhotos
from pairlight.models.dual_encoder import DualEncoder
from pairlight.output import Output
from pairlight.train.class_names import ClassNames
from pairlight.train.epoch import Embedded, StageState, kept_batches, photo_batches
from pairlight.train.head_init import fit_heads
from pairlight.train.kept import Kept
from pairlight.train.stem import Stem
from pairlight.train.validate import Split, validate
from pairlight.types import Photo


class StageInputs:
    """The training batches and the validation data of one stage.

    A frozen stage, and one with `views`, works on what the frozen part of the model gives, kept on
    disk; any other on photos augmented anew every epoch.
    """

    def __init__(
        self,
        model: DualEncoder,
        recipe: Recipe,
        stage: StageConfig,
        splits: tuple[list[Photo], list[Photo]],
        cache: Path,
        device: str,
        output: Output,
    ):
        self.model, self.recipe, self.stage = model, recipe, stage
        self.cache, self.device, self.output = cache, device, output
        self.train, self.val = splits
        self.stem = Stem(model, stage.image_blocks, stage.text_layers)
        self.kept: Kept | None = None
        self.kept_val: Kept | None = None
        model.region_dropout = recipe.augment.region_dropout
        if (stage.frozen or stage.views) and self._divisible():
            varied = recipe.augment if stage.views else None
            self.kept = self._keep(self.train, varied, max(1, stage.views))
            if self.val:
                self.kept_val = self._keep(self.val, None, 1)
        else:
            self.photos = self._photos()

    def _divisible(self) -> bool:
        if not self.stem.possible:
            self.output.say(
                f"stage {self.stage.name}: no views are kept, this encoder cannot be divided "
                "below its trained blocks; each epoch augments anew"
            )
        return self.stem.possible

    def _keep(self, photos: list[Photo], varied: AugmentConfig | None, views: int) -> Kept:
        kept = Kept(self.stem, photos, self.cache, self.device, self.output.track, varied, views)
        kept.images(0)
        if kept.lost:
            self.output.say(f"{len(kept.lost)} of {len(photos)} photos could not be read")
        return kept

    def _photos(self) -> CaptionedPhotos:
        tokenizer = self.model.tokenizer
        return CaptionedPhotos(
            photos=self.train,
            tokens=[tokenizer(list(photo.captions)) for photo in self.train],
            mask_id=tokenizer.mask_id,
            size=self.recipe.view_size,
            config=self.recipe.augment,
            captions_per_image=self.stage.captions_per_image,
            seed=self.recipe.train.seed,
        )

    @property
    def available(self) -> int:
        """How many training photos there are to draw from."""
        return len(self.kept.rows()) if self.kept else len(self.train)

    def batches(self, state: StageState, epoch: int) -> Iterator[Embedded]:
        """Return the batches of an epoch, embedded; epochs of the run count from 1."""
        seed = self.recipe.train.seed
        if self.kept:
            return kept_batches(state, self.kept, seed, epoch)
        return photo_batches(state, self.photos, seed, epoch)

    def fit_heads(self, classes: ClassNames | None) -> None:
        """Start the heads from the training features, where these are kept."""
        if self.kept:
            config = self.recipe.train
            best = fit_heads(self.model, self.kept, config.head_ridge, config.chunk, classes)
            self.output.say(f"heads start from canonical correlations, the largest {best:.2f}")

    @property
    def splits(self) -> tuple[Split, Split]:
        """Train and val as the model meets them in use: photos, or what frozen encoders give."""
        frozen = all(stage.frozen for stage in self.recipe.stages)  # the same for every checkpoint
        pooled = frozen and self.stem.pools_images and self.stem.pools_texts
        if pooled and self.kept and self.kept_val and not self.kept.varied:
            return self.kept, self.kept_val
        return self.train, self.val

    def validate(self) -> dict | None:
        """Return the scores on the validation split, None where there is none."""
        held_out = self.kept_val or self.val
        return validate(self.model, held_out, self.device, self.output) if held_out else None
