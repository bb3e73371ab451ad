"""What a study gives to training and selection: prepared slices, pairs, labelled examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import partial

import numpy as np

from VQBEGALLib.errors import InputError
from VQBEGALLib.events import Reporter
from VQBEGALLib.slices import ImageKey, SliceCache, SliceFrame, SlicePair, pair_slices, prepare_masks
from VQBEGALLib.slices.pool import show_the_same, without_partner
from VQBEGALLib.slices.reader import PairReader
from VQBEGALLib.study import Study
from VQBEGALLib.study.imagestore import CACHE
from VQBEGALLib.study.records import SPLITS, WHICH, Split, Subject, Which
from VQBEGALLib.study.records import Role as RoleName
from VQBEGALLib.training import Example, Role
from VQBEGALLib.training.batches import Mask

ROLE_OF: dict[RoleName, Role] = {"all": Role.ALL, "encoder": Role.ENCODER, "decoder": Role.DECODER}
NAME_OF = {role: name for name, role in ROLE_OF.items()}


class Material:
    """A study's images as slices.

    Args:
        study: an open study; slices that are not in its cache yet are prepared and stored there.
        reporter: told of each volume prepared.
        splits: parts of the cohort to prepare; all by default.

    Raises:
        InputError: a volume cannot be prepared; the sentence names it.
        StorageError: the disk is full.
        CancelledError: a person asked to stop; what is prepared stays.
    """

    def __init__(self, study: Study, reporter: Reporter, splits: Iterable[Split] = SPLITS) -> None:
        self.study = study
        self.config = study.config
        settings = self.config.slices
        self._cache = SliceCache(study.folder / CACHE, settings)
        modality = {"primary": settings.primary_modality, "auxiliary": settings.auxiliary_modality}
        self.frames: dict[Which, dict[str, SliceFrame]] = {"primary": {}, "auxiliary": {}}
        keys: dict[Which, dict[str, ImageKey]] = {"primary": {}, "auxiliary": {}}
        wanted = set(splits)
        for subject in study.subjects.values():
            for which in keys:
                record = subject.image(which)
                if record is not None and subject.split in wanted:
                    keys[which][subject.name] = ImageKey(subject.name, which, modality[which], record.sha256)
                    self.frames[which][subject.name] = SliceFrame.of(study.grid(subject.name, which))
        self._prepare([key for images in keys.values() for key in images.values()], reporter)
        self.reader = PairReader(self._cache, keys["primary"], keys["auxiliary"])

    def _prepare(self, keys: list[ImageKey], reporter: Reporter) -> None:
        missing = [key for key in keys if not self._cache.path(key).exists()]
        if not missing:
            return
        with reporter.stage("slices", len(missing), unit="volume") as stage:
            for key in missing:
                try:
                    self._cache.ensure(key, partial(self.study.volume, key.subject, key.which))
                except InputError as error:
                    raise InputError(f"{key.subject}, {key.which} image: {error.problem}", error.remedy) from error
                stage.advance()
        self._tell_aligned(reporter)

    def _tell_aligned(self, reporter: Reporter) -> None:
        count = sum(self._aligned(subject) for subject in self.study.subjects.values())
        if count:
            reporter.message(
                f"Cases with both volumes on one grid: {count} of {len(self.study.subjects)}. Their slices are taken "
                "to show the same anatomy; set registered=no where they do not."
            )

    def pairs(self, split: Split) -> list[SlicePair]:
        """Return the slice pairs of a split; the study's seed fixes every draw."""
        subjects = [subject for subject in self.study.subjects.values() if subject.split == split]
        return pair_slices(
            self._frames("primary", subjects),
            self._frames("auxiliary", subjects),
            pairing=self.config.slices.pairing,
            generator=np.random.default_rng((self.config.seed, SPLITS.index(split))),
            without=self._without_partner(subjects) if split == "train" else (),
            aligned=[subject.name for subject in subjects if self._aligned(subject)],
        )

    def _without_partner(self, subjects: list[Subject]) -> set[str]:
        """Return the subjects of the patients whose auxiliary is missing in training."""
        patients = {subject.patient for subject in subjects if subject.primary is not None}
        missing = without_partner(patients, self.config.slices.auxiliary_share, self.config.seed)
        return {subject.name for subject in subjects if subject.patient in missing}

    def _aligned(self, subject: Subject) -> bool:
        """Tell whether slices of one number of a subject's two volumes show the same anatomy."""
        if subject.primary is None or subject.auxiliary is None:
            return False
        primary, auxiliary = (self.study.grid(subject.name, which) for which in WHICH)
        return show_the_same(primary, auxiliary, self.config.slices)

    def _frames(self, which: Which, subjects: list[Subject]) -> dict[str, SliceFrame]:
        known = self.frames[which]
        return {subject.name: known[subject.name] for subject in subjects if subject.name in known}

    def examples(self) -> list[Example]:
        """Return the labelled pairs of the training split, masks on the network's grid."""
        pairs = {(pair.case, pair.slice): pair for pair in self.pairs("train")}
        primary = self._masks("primary")
        auxiliary = self._masks("auxiliary") if self.config.training.supervise == "both" else {}
        found = []
        for place in sorted(primary.keys() & pairs.keys()):
            pair = pairs[place]
            mask, role = primary[place]
            partner = (pair.partner or "", -1 if pair.partner_slice is None else pair.partner_slice)
            found.append(Example(pair, ROLE_OF[role], mask, auxiliary[partner][0] if partner in auxiliary else None))
        return found

    def _masks(self, which: Which) -> dict[tuple[str, int], tuple[Mask, RoleName]]:
        """Return mask (H, W) and role of every annotated training slice, by subject and slice."""
        found: dict[tuple[str, int], tuple[Mask, RoleName]] = {}
        for name in sorted(self.frames[which]):
            labels = self.study.labels(name, which) if self.study.subjects[name].split == "train" else None
            if labels is not None and labels.annotations:
                indices = sorted(labels.annotations)
                masks = prepare_masks(labels.labelmap, self.config.slices, indices)
                for index, mask in zip(indices, masks, strict=True):
                    found[name, index] = (mask, labels.annotations[index].role)
        return found

    def unlabelled(self, examples: list[Example]) -> list[SlicePair]:
        """Return the training pairs that are not annotated and were not skipped."""
        taken = {(example.pair.case, example.pair.slice) for example in examples}
        for round_ in self.study.rounds():
            taken |= {(item.case, item.slice) for item in round_.requests if item.status == "skipped"}
        return [pair for pair in self.pairs("train") if (pair.case, pair.slice) not in taken]


def by_case(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Group slices by case, both sorted."""
    groups: dict[str, list[int]] = defaultdict(list)
    for case, index in sorted(pairs):
        groups[case].append(index)
    return dict(groups)
