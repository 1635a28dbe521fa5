"""LIP's rules: which detections are believed, larger boxes, when to stop, tuning of the last layer of ids."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vosbench.data.loading.collate import detection_targets
from vosbench.models.lip.adaptation import (
    THRESHOLDS,
    EarlyStopping,
    IdTuning,
    balanced,
    id_labels,
    tune_ids,
)
from vosbench.models.lip.heads import FOCAL, PLAIN
from vosbench.models.lip.rules import DetectionRules, candidates, id_map, select
from vosbench.models.lip.training import expanded

# of 10 x 10 pixels
PLACE = [0.0, 0.0, 10.0, 10.0]


def found(*detections):
    """Detections (id, score) or (id, score, box)."""
    boxes = [each[2] if len(each) > 2 else PLACE for each in detections]
    return {
        "labels": torch.tensor([each[0] for each in detections], dtype=torch.int64),
        "scores": torch.tensor([each[1] for each in detections], dtype=torch.float32),
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
    }


def within(area):
    """A box of so many of the 100 square pixels of `PLACE`: its IoU with that is area / 100."""
    return [0.0, 0.0, 10.0, area / 10]


class TestRules:
    @pytest.mark.parametrize(("score", "kept"), [(0.2, []), (0.21, [0])])
    def test_scores_need_to_be_above_the_least(self, score, kept):
        assert select(found((1, score)), None, DetectionRules()).tolist() == kept

    def test_ten_of_eleven_candidates_of_an_id_are_kept(self):
        scores = [0.3 + 0.01 * number for number in range(11)]
        eleven = found(*((1, score) for score in scores), (2, 0.25))
        assert candidates(eleven, DetectionRules()).tolist() == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 11]

    @pytest.mark.parametrize(
        ("score", "area", "kept"),
        [
            (0.41, 29, []),
            # an id that was not sure enough may be anywhere
            (0.40, 29, [0]),
            (0.41, 30, [0]),
            (0.41, 31, [0]),
        ],
    )
    def test_an_id_that_was_sure_stays_near(self, score, area, kept):
        now = found((1, 0.9, within(area)))
        assert select(now, found((1, score)), DetectionRules()).tolist() == kept

    def test_only_the_place_of_the_same_id_counts(self):
        now = found((1, 0.9, within(10)), (2, 0.8, within(100)))
        assert select(now, found((2, 0.9)), DetectionRules()).tolist() == [0, 1]

    def test_one_detection_of_an_id_is_kept_the_best(self):
        now = found((1, 0.5), (2, 0.3), (1, 0.7), (2, 0.6), (1, 0.6))
        assert select(now, None, DetectionRules()).tolist() == [2, 3]

    @pytest.mark.parametrize(("order", "kept"), [("continuity_first", [1]), ("maximum_first", [])])
    def test_the_order_of_the_two_constraints(self, order, kept):
        # the best one is far away, the next best is not
        now = found((1, 0.9, [50.0, 50.0, 60.0, 60.0]), (1, 0.6))
        assert select(now, found((1, 0.9)), DetectionRules(order=order)).tolist() == kept

    def test_a_near_detection_outside_the_candidates_is_none(self):
        far = [(1, 0.9, [50.0, 50.0, 60.0, 60.0])] * 10
        assert select(found(*far, (1, 0.8)), found((1, 0.9)), DetectionRules()).tolist() == []

    def test_a_frame_without_detections(self):
        assert select(found(), found((1, 0.9)), DetectionRules()).tolist() == []
        assert select(found((1, 0.9)), found(), DetectionRules()).tolist() == [0]

    @given(
        st.lists(st.tuples(st.integers(1, 4), st.sampled_from([0.1, 0.3, 0.5, 0.7]), st.integers(1, 10))),
        st.lists(st.tuples(st.integers(1, 4), st.floats(0, 1)), unique_by=lambda each: each[0]),
        st.sampled_from(["continuity_first", "maximum_first"]),
    )
    def test_what_is_believed_obeys_all_rules(self, now, before, order):
        detections = found(*((label, score, within(10 * side)) for label, score, side in now))
        kept = select(detections, found(*before), DetectionRules(order=order)).tolist()
        labels, scores = [now[number][0] for number in kept], [now[number][1] for number in kept]
        assert len(set(labels)) == len(labels)
        assert scores == sorted(scores, reverse=True)
        sure = {label for label, score in before if torch.tensor(score).float() > 0.4}
        allowed = [
            (label, score) for label, score, side in now if score > 0.2 and (label not in sure or side >= 3)
        ]
        assert set(zip(labels, scores, strict=True)) <= set(allowed)
        if order == "continuity_first" and all(
            sum(1 for each in now if each[0] == label) <= 10 for label in (1, 2, 3, 4)
        ):
            best = {label: max(score for own, score in allowed if own == label) for label, _ in allowed}
            assert dict(zip(labels, scores, strict=True)) == best


class TestIdMap:
    def masks(self, *spans):
        masks = torch.zeros(len(spans), 1, 1, 6)
        for mask, (start, end, value) in zip(masks, spans, strict=True):
            mask[..., start:end] = value
        return masks

    def test_the_higher_score_wins_where_masks_overlap(self):
        spans = self.masks((0, 4, 0.9), (2, 6, 0.6))
        for scores, wanted in (((0.5, 0.8), [7, 7, 9, 9, 9, 9]), ((0.8, 0.5), [7, 7, 7, 7, 9, 9])):
            result = id_map(found((7, scores[0]), (9, scores[1])) | {"masks": spans})
            assert result.dtype == torch.uint8
            assert result[0].tolist() == wanted

    def test_a_mask_is_where_it_is_more_likely_than_not(self):
        result = id_map(found((3, 0.9)) | {"masks": self.masks((0, 2, 0.51)) + self.masks((4, 6, 0.5))})
        assert result[0].tolist() == [3, 3, 0, 0, 0, 0]

    def test_ids_that_are_not_found_are_empty(self):
        result = id_map(found() | {"masks": torch.zeros(0, 1, 2, 3)})
        assert result.tolist() == [[0, 0, 0], [0, 0, 0]]


class TestBoxes:
    def grown(self, boxes):
        return expanded({"boxes": boxes, "masks": torch.zeros(len(boxes), 480, 854)})["boxes"]

    def test_they_grow_by_a_tenth_about_their_centre(self):
        boxes = self.grown(torch.tensor([[100.0, 100.0, 200.0, 150.0]]))
        torch.testing.assert_close(boxes, torch.tensor([[95.0, 97.5, 205.0, 152.5]]))

    def test_but_not_out_of_the_picture(self):
        boxes = self.grown(torch.tensor([[0.0, 2.0, 100.0, 52.0], [754.0, 430.0, 854.0, 480.0]]))
        wanted = torch.tensor([[0.0, 0.0, 105.0, 54.5], [749.0, 427.5, 854.0, 480.0]])
        torch.testing.assert_close(boxes, wanted)

    def test_targets_of_masks_get_larger_boxes_and_nothing_else(self):
        ids = torch.zeros(1, 60, 120, dtype=torch.uint8)
        ids[0, 10:50, 20:100] = 2
        (target,) = detection_targets(ids)
        grown = expanded(target)
        assert grown["boxes"].tolist() == [[16.0, 8.0, 104.0, 52.0]]
        assert torch.equal(grown["masks"], target["masks"])
        assert target["boxes"].tolist() == [[20.0, 10.0, 100.0, 50.0]]

    def test_a_frame_without_objects(self):
        (target,) = detection_targets(torch.zeros(1, 6, 8, dtype=torch.uint8))
        assert expanded(target)["boxes"].shape == (0, 4)


class TestEarlyStopping:
    def losses(self, **values):
        return {name: torch.tensor(values.get(name, 1.0), requires_grad=True) for name in THRESHOLDS}

    def test_a_loss_below_its_threshold_is_ignored_in_that_step(self):
        stopping = EarlyStopping()
        low = self.losses(loss_mask=0.099, loss_classifier=0.021)
        assert set(stopping.active(low)) == set(THRESHOLDS) - {"loss_mask"}
        assert set(stopping.active(self.losses())) == set(THRESHOLDS)
        assert (stopping.steps, stopping.stopped) == (2, False)
        assert stopping.ignored == {"loss_mask": 1}

    def test_active_losses_keep_their_gradient(self):
        losses = self.losses(loss_mask=0.01)
        sum(EarlyStopping().active(losses).values()).backward()
        assert losses["loss_mask"].grad is None
        assert losses["loss_box_reg"].grad == 1

    def test_it_stops_when_all_are_ignored_at_once(self):
        stopping = EarlyStopping()
        for name in THRESHOLDS:
            stopping.active(self.losses(**{name: 0.0}))
        assert not stopping.stopped
        assert stopping.active(self.losses(**dict.fromkeys(THRESHOLDS, 0.0))) == {}
        assert stopping.stopped
        assert stopping.steps == 6

    def test_thresholds_are_those_it_is_given(self):
        stopping = EarlyStopping(dict.fromkeys(THRESHOLDS, 2.0))
        assert stopping.active(self.losses()) == {}


class TestIdTuning:
    def test_regions_have_the_id_of_what_they_overlap_most(self):
        boxes = torch.tensor([PLACE, [20.0, 0.0, 30.0, 10.0]])
        proposals = torch.tensor([within(49), within(50), [20.0, 0.0, 30.0, 9.0], [50.0, 50.0, 60.0, 60.0]])
        assert id_labels(proposals, boxes, torch.tensor([3, 5])).tolist() == [0, 3, 5, 0]

    def test_every_object_has_a_region(self):
        proposals = torch.tensor([within(10), within(20), [50.0, 50.0, 60.0, 60.0]])
        assert id_labels(proposals, torch.tensor([PLACE]), torch.tensor([3])).tolist() == [0, 3, 0]
        assert id_labels(proposals, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64)).tolist() == [0] * 3

    def test_a_quarter_of_the_regions_are_objects_the_first_of_each(self):
        labels = torch.tensor([0, 1, 1, 0, 2, 0, 0, 0, 0, 0])
        assert balanced(labels, 8).tolist() == [1, 2, 0, 3, 5, 6, 7, 8]
        assert balanced(labels, 4).tolist() == [1, 0, 3, 5]

    def vectors(self):
        generator = torch.Generator().manual_seed(0)
        centres = torch.randn(3, 16, generator=generator)
        labels = torch.tensor([1, 2, 0, 0, 0, 0, 0, 0, 1, 2])
        return centres[labels] + 0.05 * torch.randn(10, 16, generator=generator), labels

    def layer(self):
        torch.manual_seed(0)
        return nn.Linear(16, 3)

    @pytest.mark.parametrize("loss", [PLAIN, FOCAL])
    def test_it_stops_as_soon_as_the_loss_is_low(self, loss):
        layer, (vectors, labels) = self.layer(), self.vectors()
        chosen = balanced(labels)
        tuned = tune_ids(layer, vectors, labels, IdTuning(lr=0.05, loss=loss))
        assert 0 < tuned.steps < 500
        assert tuned.before > 0.02 > tuned.after
        assert loss(layer(vectors[chosen]), labels[chosen]).item() == pytest.approx(tuned.after)
        again = tune_ids(layer, vectors, labels, IdTuning(lr=0.05, loss=loss))
        assert again.steps == 0

    def test_it_takes_no_more_steps_than_allowed(self):
        layer = self.layer()
        tuned = tune_ids(layer, *self.vectors(), IdTuning(iterations=3, threshold=0.0))
        assert tuned.steps == 3
        assert tuned.after < tuned.before

    def test_results_of_a_test_are_good_enough(self):
        layer = self.layer()
        with torch.inference_mode():
            vectors, labels = self.vectors()
            tuned = tune_ids(layer, vectors + 0, labels + 0, IdTuning(iterations=2))
        assert tuned.steps == 2
        assert not layer.weight.is_inference()

    def test_the_same_vectors_make_the_same_layer(self):
        layers = [self.layer(), self.layer()]
        for layer in layers:
            tune_ids(layer, *self.vectors(), IdTuning(iterations=5))
        assert torch.equal(layers[0].weight, layers[1].weight)
        assert not torch.equal(layers[0].weight, self.layer().weight)

    def test_without_an_object_nothing_is_learnt(self):
        layer, (vectors, labels) = self.layer(), self.vectors()
        tuned = tune_ids(layer, vectors, torch.zeros_like(labels))
        assert tuned.steps == 0
        assert math.isnan(tuned.before)
        assert torch.equal(layer.weight, self.layer().weight)
