"""Brings a store up to date with its folders, a batch at a time, embedding only what is new."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import numpy as np

from pairlight.errors import ConfigError, DataError, ModelError
from pairlight.files import sha256_of
from pairlight.runtime.looks import several_looks
from pairlight.search.names import counted, shown
from pairlight.search.photo import read_photo
from pairlight.search.plan import Plan, make_plan
from pairlight.search.records import Batch, Encoder, Facts, Fingerprint, Found, Known, NewContent
from pairlight.search.renamed import settle_renames
from pairlight.search.store import Store
from pairlight.threads import map_ahead
from pairlight.types import Json

BATCH = 32
COUNTS = ("added", "changed", "moved", "touched", "unchanged", "deleted", "embedded")
Tell = Callable[[int, int], None]


@dataclass
class Report:
    """What a run did: `counts` by `COUNTS`, what was skipped and why, what was kept unseen."""

    model: Fingerprint
    roots: list[str]
    looks: int = 1
    photos: int = 0
    distinct: int = 0
    counts: Counter = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    kept: list[Json] = field(default_factory=list)

    def to_json(self) -> Json:
        """Return the report as plain values."""
        return {
            "model": vars(self.model),
            "roots": self.roots,
            "looks": self.looks,
            "photos": self.photos,
            "files": self.photos,
            "distinct": self.distinct,
            **{name: self.counts[name] for name in COUNTS},
            "skipped": [{"path": path, "reason": why} for path, why in self.skipped.items()],
            "kept": self.kept,
        }

    def lines(self, examples: int = 5) -> list[str]:
        """Return the report as a few lines for a terminal."""
        done = ", ".join(f"{self.counts[name]} {name}" for name in COUNTS if self.counts[name])
        copies = f", {self.distinct} of them distinct" if self.distinct != self.photos else ""
        lines = [f"{counted(self.photos)} in the store{copies}" + (f": {done}" if done else "")]
        if not self.photos:
            lines[0] += "; name a folder that holds some (.jpg, .png and the like)"
        for each in self.kept:
            kept = f"kept {counted(each['photos'])} of {shown(each['folder'])}"
            lines.append(f"{kept}: {each['reason']}")
        if self.skipped:
            lines.append(f"skipped {len(self.skipped)}:")
            first = list(self.skipped.items())[:examples]
            lines += [f"  {shown(path)}: {shown(why)}" for path, why in first]
            if len(self.skipped) > examples:
                lines.append(f"  and {len(self.skipped) - examples} more; --json lists all")
        return lines


@dataclass(frozen=True)
class Read:
    """What reading a file gave: pixels where its bytes are new, a `reason` where it failed.

    `damaged` tells a file that holds no picture from one that could not be read just now.
    """

    file: Found
    sha256: bytes = b""
    pixels: np.ndarray | None = None
    facts: Facts | None = None
    reason: str = ""
    damaged: bool = False


def index_photos(
    store: Store,
    model: Encoder,
    folders: Sequence[str] = (),
    exclude: Sequence[str] = (),
    rebuild: bool = False,
    prune: bool = False,
    tell: Tell = lambda done, total: None,
    threads: int | None = None,
    looks: int | None = None,
) -> Report:
    """Index `folders` (default: those of the store); `tell` hears how many of how many are done.

    Unchanged files (by size and modification time) are not read; changed or new ones are hashed,
    and embedded only when the store does not have their bytes. Each batch is on disk before the
    next begins; nothing is dropped before everything else is stored. With `rebuild` all photos are
    embedded by `model`, and the old vectors serve until all new ones are there. `prune` drops
    photos of folders that are absent or empty. A vector is the mean of `looks` at its photo
    (default: as many as the store's, else 1); another number than the store's needs `rebuild`.
    """
    fingerprint = Fingerprint.of(model)
    looks = store.looks() if looks is None else looks
    model = several_looks(model, looks)
    number = _agree(store, fingerprint, rebuild, looks)
    have = store.embedded(number)
    wanted = [*store.roots(), *folders] if rebuild else folders
    embedded = set(have.values())
    plan = make_plan(store, wanted, exclude, embedded, prune)
    report = Report(fingerprint, plan.roots, looks, kept=plan.kept())
    if rebuild and report.kept:
        first = report.kept[0]
        raise ConfigError(
            f"{shown(first['folder'])}: its {counted(first['photos'])} cannot be embedded again "
            f"now ({first['reason']})"
        )
    report.counts.update(settle_renames(store, plan, embedded))
    report.counts["unchanged"] = plan.unchanged
    _Run(store, model, number, plan, have, report).read_all(tell, threads or os.cpu_count() or 1)
    if rebuild:
        store.activate(number, looks)
    report.photos, report.distinct = store.count(), store.distinct()
    return report


def _agree(store: Store, model: Fingerprint, rebuild: bool, looks: int) -> int:
    """Return the number in the store of the vectors to make; never mix two models or looks."""
    old = store.model()
    if old is not None and not old.same(model) and not rebuild:
        raise ConfigError(
            f"{store.path}: its vectors are by {old}, not {model}, and cannot be mixed; "
            "--rebuild embeds all its photos again"
        )
    if old is not None and looks != store.looks() and not rebuild:
        raise ConfigError(
            f"{store.path}: made with --looks {store.looks()}; leave --looks out, or --rebuild to "
            "embed all its photos again"
        )
    number = store.add_model(model, looks, apart=old is not None and rebuild)
    if old is None:
        store.activate(number, looks)
    return number


class _Run:
    """One run over a plan's files."""

    def __init__(
        self,
        store: Store,
        model: Encoder,
        number: int,
        plan: Plan,
        have: dict[bytes, int],
        report: Report,
    ):
        self.store, self.model, self.number = store, model, number
        self.plan, self.report = plan, report
        self.have = set(have)
        before = [plan.known[file.path] for file in plan.todo if file.path in plan.known]
        hashes = store.hashes({each.content for each in [*before, *plan.gone]})
        self.old = {each.path: hashes.get(each.content) for each in before}
        self.left: dict[bytes, list[Known]] = defaultdict(list)  # by their bytes' hash
        for each in plan.gone:
            self.left[hashes.get(each.content, b"")].append(each)
        self.skipped: dict[str, str] = {}

    def read_all(self, tell: Tell, threads: int) -> None:
        """Read, embed and store everything; then drop what is gone."""
        todo, done = self.plan.todo, 0
        groups = (todo[start : start + BATCH] for start in range(0, len(todo), BATCH))
        read = partial(read_file, size=self.model.image_size, have=self.have)
        tell(0, len(todo))
        # Files are read and decoded in threads while the batch before them is embedded.
        for reads in map_ahead(read, groups, threads):
            batch = self._batch(reads)
            if batch.photos or batch.lost:
                self.store.commit(self.number, batch)
            self.have.update(new.sha256 for new in batch.contents)
            done += len(reads)
            tell(done, len(todo))
        self._finish()

    def _batch(self, reads: list[Read]) -> Batch:
        batch = Batch(contents=self._embed(reads))
        stored = self.have | {new.sha256 for new in batch.contents}
        for each in reads:
            path, known = each.file.path, self.plan.known.get(each.file.path)
            if each.sha256 in stored:
                batch.photos.append((each.file, each.sha256))
                self.report.counts[self._kind(each, batch)] += 1
            else:
                self.skipped[path] = each.reason or "the model made no embedding of it"
                if known and each.damaged:
                    batch.lost.append(known.id)
                    self.report.counts["deleted"] += 1
        return batch

    def _kind(self, read: Read, batch: Batch) -> str:
        """Return how a photo counts; one that comes from elsewhere is entered as a move."""
        path = read.file.path
        known = self.plan.known.get(path)
        if known is None:
            if not self.left.get(read.sha256):
                return "added"
            batch.moves[path] = self.left[read.sha256].pop().id
            return "moved"
        if self.old[path] != read.sha256:
            return "changed"
        same = (known.size, known.mtime_ns) == (read.file.size, read.file.mtime_ns)
        return "unchanged" if same else "touched"

    def _embed(self, reads: list[Read]) -> list[NewContent]:
        distinct = {each.sha256: each for each in reads if each.sha256 not in self.have}
        fresh = [each for each in distinct.values() if each.pixels is not None]
        pixels = [each.pixels for each in fresh if each.pixels is not None]
        if not fresh:
            return []
        vectors = self.model.encode_pixels(np.stack(pixels))
        if vectors.shape != (len(fresh), self.model.embed_dim):
            raise ModelError(
                f"{self.model.name}: gave {vectors.shape} for {len(fresh)} photos; "
                f"({len(fresh)}, {self.model.embed_dim}) was expected"
            )
        # A vector that is no number would poison every ranking it takes part in.
        sound = np.isfinite(vectors).all(axis=1) & (
            np.abs(np.linalg.norm(vectors, axis=1) - 1) < 0.01
        )
        self.report.counts["embedded"] += int(sound.sum())
        return [
            NewContent(each.sha256, each.facts, vector)  # type: ignore[arg-type]
            for each, vector, good in zip(fresh, vectors, sound, strict=True)
            if good
        ]

    def _finish(self) -> None:
        plan, report = self.plan, self.report
        gone = [each.id for group in self.left.values() for each in group]
        report.counts["deleted"] += len(gone)
        report.skipped = dict(sorted({**plan.scan.skipped, **self.skipped}.items()))
        before = {path: why for path, why in self.store.skipped().items() if plan.untouched(path)}
        mounts = {folder for folder in self.store.mounts() if plan.untouched(folder)}
        self.store.finish(
            plan.roots,
            gone,
            {**before, **report.skipped},
            mounts | plan.scan.mounts,
            plan.forgotten,
            datetime.now(UTC).isoformat(timespec="seconds"),
        )


def read_file(file: Found, size: int, have: set[bytes]) -> Read:
    """Hash a file and, unless its bytes are among `have`, decode it; never raises for a bad one."""
    path = file.path
    try:
        sha256 = bytes.fromhex(sha256_of(path))
        pixels, facts = (None, None) if sha256 in have else read_photo(path, size)
        now = os.stat(path)
    except FileNotFoundError:
        return Read(file, reason="gone before it could be read")
    except OSError as error:
        return Read(file, reason=f"cannot read: {error.strerror}")
    except DataError as error:
        return Read(file, reason=str(error).removeprefix(f"{path}: "), damaged=True)
    except Exception as error:  # One bad file never stops a run.
        return Read(file, reason=f"cannot read: {type(error).__name__}: {error}")
    if Found.of(path, now) != file:
        return Read(file, reason="changed while it was read; the next run takes it")
    return Read(file, sha256, pixels, facts)
