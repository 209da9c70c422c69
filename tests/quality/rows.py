"""What is to be proven (the fourteen groups of oracles that issue 4 asks for), which test proves it, and which figure tells how
well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

GROUPS = 14


@dataclass(frozen=True)
class Row:
    """`figure` is the name under which one of `tests` (files, or functions of them) records it, `worst` makes one of
    all that was recorded. Without a figure there is nothing to measure but that the tests pass. `by` is the target of
    the Makefile that runs them when `make quality` does not: what needs a real Krita, or an hour."""

    group: int
    oracle: str
    tests: Sequence[str]
    figure: str = ""
    wanted: str = ""
    worst: Callable[[Sequence[float]], float] = max
    by: str = ""


COMPOSITING, ENGINE = "property/test_compositing.py", "property/test_engine.py"
OBEDIENCE, SOFT = "property/test_obedience.py", "property/test_soft_selections.py"
CONVERGENCE = (
    "property/test_convergence.py::test_the_error_falls_with_the_order_of_the_scheduler",
)
PREFILL, MATCH = "unit/engine/test_prefill.py", "property/test_match.py"
PARITY = ("parity/test_pipelines.py", "parity/test_control.py", "parity/test_references.py")
PIPELINE, CONTROL = "unit/engine/test_pipeline.py", "property/test_control.py"

ROWS = [
    Row(
        1,
        "pixels outside a selection, 10,000 cases of mask, crop and alpha",
        [f"{COMPOSITING}::test_ten_thousand_cases_change_no_byte_outside"],
        "pixels outside compared",
    ),
    Row(
        1,
        "... of these changed",
        [f"{COMPOSITING}::test_ten_thousand_cases_change_no_byte_outside"],
        "pixels outside changed",
        "0",
    ),
    Row(
        1,
        "bytes of a layer outside its selection, colours under zero alpha too",
        [f"{ENGINE}::test_outside_the_selection_every_byte_stays"],
        "bytes of a layer outside its selection",
        "0",
    ),
    Row(
        1,
        "... in a real Krita, on the flattened document",
        ["krita/test_painting_selections.py", "krita/test_painting_modes.py"],
        by="test-krita",
    ),
    Row(
        2,
        "a perfect denoiser is believed by every scheduler, latents",
        ["unit/engine/test_schedule.py::test_a_perfect_model_is_believed"],
        "perfect denoiser, latents",
        "1e-5",
    ),
    Row(
        2,
        "... by the whole engine, for every scheduler, crop, selection and size, levels",
        [f"{ENGINE}::test_with_a_perfect_model_the_engine_is_an_identity"],
        "identity of the engine, levels",
        "at most 1",
    ),
    Row(3, "order of convergence: Euler", CONVERGENCE, "order euler", "1", min),
    Row(3, "... Heun", CONVERGENCE, "order heun", "2", min),
    Row(3, "... LMS", CONVERGENCE, "order lms", "above 3", min),
    Row(3, "... DPM++ 2M", CONVERGENCE, "order dpmpp_2m", "2", min),
    Row(3, "... DPM++ 2M SDE (of the spread)", CONVERGENCE, "order dpmpp_2m_sde", "2", min),
    Row(3, "... UniPC", CONVERGENCE, "order unipc", "3", min),
    Row(3, "... DDIM", CONVERGENCE, "order ddim", "1", min),
    Row(
        4,
        "latents after every step against diffusers' pipelines ([below](#parity)), float64",
        PARITY,
        "parity torch.float64",
        "1e-10",
    ),
    Row(4, "... float32", PARITY, "parity torch.float32", "1e-5"),
    Row(
        5,
        "ramps through crop, scale, identity and paste-back, levels",
        [f"{ENGINE}::test_ramps_come_back_at_their_place"],
        "ramps, levels",
        "0",
    ),
    Row(
        5,
        "the picture itself through crop, mask and compositing, levels",
        [f"{COMPOSITING}::test_the_picture_itself_comes_back_within_a_level"],
        "identity, levels",
        "at most 1",
    ),
    Row(
        5,
        "centroid of a checkerboard after scaling there and back, px",
        [f"{COMPOSITING}::test_a_checkerboard_keeps_its_place"],
        "centroid, px",
        "0.01",
    ),
    Row(
        6,
        "strength 0: change, levels",
        [
            f"{OBEDIENCE}::test_more_strength_changes_more",
            f"{ENGINE}::test_strength_zero_changes_no_byte",
        ],
        "strength 0, levels changed",
        "0",
    ),
    Row(
        6,
        "more strength changes more; one rounding rule; full strength does not see the picture",
        [
            f"{OBEDIENCE}::test_more_strength_changes_more",
            f"{OBEDIENCE}::test_the_rounding_of_strength_is_one_rule",
            f"{OBEDIENCE}::test_full_strength_does_not_see_the_picture",
        ],
    ),
    Row(
        6,
        "guidance 1 against the prompt alone, model output",
        [f"{OBEDIENCE}::test_guidance_goes_straight_from_negative_to_positive_and_on"],
        "guidance 1 against the prompt alone",
        "1e-5",
    ),
    Row(
        6,
        "pictures that the model is given a step at guidance 1",
        [f"{PIPELINE}::test_guidance_costs_what_it_must"],
        "pictures per step at guidance 1",
        "1",
    ),
    Row(
        6,
        "guidance 1 ignores the negative prompt",
        [f"{PIPELINE}::test_guidance_of_one_ignores_the_negative_prompt"],
    ),
    Row(
        7,
        "results that order, cancelled jobs or previews changed",
        [f"{OBEDIENCE}::test_no_order_no_cancelled_job_and_no_preview_changes_a_result"],
        "results that differ by order, cancelling or previews",
        "0",
    ),
    Row(
        7,
        "results that cut connections changed, through the real bridge",
        ["property/test_reconnects.py"],
        "results that reconnects changed",
        "0",
    ),
    Row(
        7,
        "noise belongs to the canvas: crops that overlap paint the same",
        [
            f"{ENGINE}::test_the_noise_belongs_to_the_canvas",
            f"{OBEDIENCE}::test_noise_does_not_move_when_the_crop_does",
        ],
    ),
    Row(
        8,
        "a constant selection c against image to image at strength c, levels",
        [f"{SOFT}::test_a_constant_selection_is_image_to_image_at_that_strength"],
        "constant selection, levels",
        "0",
    ),
    Row(
        8,
        "a binary selection against inpainting, latents",
        [f"{SOFT}::test_a_binary_map_is_inpainting"],
        "binary map, latents",
        "0",
    ),
    Row(
        9,
        "ring shift on the embedded model: [below](#seams); what takes it back changes nothing else",
        ["property/test_membrane.py"],
    ),
    Row(
        10,
        "a constant through the prefills, levels",
        [f"{PREFILL}::test_a_constant_stays_constant"],
        "constant prefill, levels",
        "at most 1",
    ),
    Row(
        10,
        "a ramp continued along the edge, levels",
        [f"{PREFILL}::test_a_ramp_along_the_edge_is_continued"],
        "ramp continued, levels",
        "at most 26",
    ),
    Row(
        10,
        "a hole that touches 0 to 4 borders; 99.9 % masked; nothing around",
        [
            f"{PREFILL}::test_the_hole_may_touch_any_number_of_borders",
            f"{PREFILL}::test_a_thousandth_of_the_picture_is_enough",
            f"{PREFILL}::test_without_surroundings_it_is_grey",
        ],
    ),
    Row(
        11,
        "near and far the right way round; a flat picture is a defined constant",
        [
            "unit/models/test_control.py::test_near_and_far_are_the_right_way_round",
            "unit/models/test_control.py::test_a_flat_map_is_neither_near_nor_far",
            f"{CONTROL}::test_a_blank_canvas_and_a_flat_map_work",
        ],
    ),
    Row(
        11,
        "a ControlNet at strength 0 is none, byte for byte",
        [f"{CONTROL}::test_no_strength_and_an_empty_range_are_exactly_no_control"],
    ),
    Row(
        12,
        "an affine shift of colours undone, 1 to 99 % kept, levels",
        [f"{MATCH}::test_an_affine_shift_is_undone_exactly"],
        "affine shift left, levels",
        "0.01",
    ),
    Row(
        12,
        "a picture without a shift after colour matching, levels",
        [f"{MATCH}::test_where_nothing_shifted_nothing_changes"],
        "identity through colour matching, levels",
        "0.001",
    ),
    Row(
        13,
        "a single pixel, whole canvases, off the canvas, prime sides, 16384 x 64",
        [f"{ENGINE}::test_odd_geometry"],
    ),
    Row(
        13,
        "blank canvases and single pixels, in every mode",
        [f"{ENGINE}::test_blank_canvases_and_single_pixels_work_in_every_mode"],
    ),
    Row(
        14,
        "prompts that the embedded model obeys: [rates and their intervals](embedded-model.md)",
        ["unit/models/training/test_judge.py"],
        by="eval-embedded",
    ),
]

PIPELINES = [
    ("text to image", "parity/test_pipelines.py::test_text_to_image"),
    (
        "... with five schedulers",
        "parity/test_pipelines.py::test_every_scheduler_without_noise_of_its_own",
    ),
    ("... SDXL", "parity/test_pipelines.py::test_sdxl_text_to_image"),
    ("image to image", "parity/test_pipelines.py::test_image_to_image"),
    ("inpainting, 4 channels", "parity/test_pipelines.py::test_inpainting_with_four_channels"),
    ("inpainting, 9 channels", "parity/test_pipelines.py::test_inpainting_with_nine_channels"),
    ("depth2img", "parity/test_control.py::test_depth_to_image"),
    ("ControlNet: text to image", "parity/test_control.py::test_text_to_image"),
    ("... several at once", "parity/test_control.py::test_several_controls_are_added_up"),
    ("... image to image", "parity/test_control.py::test_image_to_image"),
    (
        "... inpainting, 4 and 9 channels",
        "parity/test_control.py::test_inpainting_with_four_and_with_nine_channels",
    ),
    ("... SDXL", "parity/test_control.py::test_sdxl"),
    ("IP-Adapter: text to image", "parity/test_references.py::test_text_to_image"),
    ("... image to image", "parity/test_references.py::test_image_to_image"),
    ("... inpainting, 4 and 9 channels", "parity/test_references.py::test_inpainting"),
    ("... two at once", "parity/test_references.py::test_two_references"),
    ("... for some of the steps", "parity/test_references.py::test_ranges"),
    ("... beside a ControlNet", "parity/test_references.py::test_beside_a_control"),
    ("... SDXL, for style and composition", "parity/test_references.py::test_sdxl"),
]
"""Diffusers' pipelines that our loop is compared with, and by which test."""
