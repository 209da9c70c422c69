"""Small random networks in the true formats that work maps out of pictures: segments, persons and their joints."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from transformers import (
    ConvNextConfig,
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrImageProcessorPil,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessorPil,
    UperNetConfig,
    UperNetForSemanticSegmentation,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    VitPoseImageProcessorPil,
)

_SURELY, _NEVER = 3.0, -9.0
"""Logits."""


def make_tiny_segmenter(folder: Path, layout: str = "upernet", *, classes: int = 150) -> Path:
    """Write a tiny UPerNet over a ConvNeXt, or a tiny SegFormer."""
    torch.manual_seed(0)
    network: nn.Module
    if layout == "upernet":
        backbone = ConvNextConfig(
            hidden_sizes=[8] * 4,
            depths=[1] * 4,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        )
        network = UperNetForSemanticSegmentation(
            UperNetConfig(
                backbone_config=backbone,
                hidden_size=8,
                auxiliary_channels=8,
                auxiliary_in_channels=8,
                pool_scales=[1, 2],
                num_labels=classes,
            )
        )
    else:
        network = SegformerForSemanticSegmentation(
            SegformerConfig(
                depths=[1] * 4,
                hidden_sizes=[8, 8, 16, 16],
                num_attention_heads=[1, 1, 2, 2],
                decoder_hidden_size=8,
                num_labels=classes,
            )
        )
    network.eval().save_pretrained(folder)
    SegformerImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def make_tiny_person_detector(
    folder: Path, *, version: int = 1, somebody: bool = True, named: str = "person"
) -> Path:
    """Write a tiny RT-DETR, or RT-DETRv2, that finds six small boxes in any picture, and takes each for a person, or none."""
    torch.manual_seed(0)
    config_of, network_of = {
        1: (RTDetrConfig, RTDetrForObjectDetection),
        2: (RTDetrV2Config, RTDetrV2ForObjectDetection),
    }[version]
    config = config_of(
        backbone_config=RTDetrResNetConfig(
            embedding_size=8,
            hidden_sizes=[8] * 4,
            depths=[1] * 4,
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        ),
        encoder_hidden_dim=16,
        encoder_in_channels=[8] * 3,
        encoder_ffn_dim=16,
        encoder_attention_heads=2,
        d_model=16,
        decoder_in_channels=[16] * 3,
        decoder_ffn_dim=16,
        decoder_attention_heads=2,
        decoder_layers=2,
        num_queries=6,
        id2label={0: "boat", 1: named},
        label2id={"boat": 0, named: 1},
    )
    network = network_of(config).eval()
    for layer in network.model.decoder.class_embed:
        nn.init.zeros_(layer.weight)
        layer.bias.data = torch.tensor([_NEVER, _SURELY if somebody else _NEVER])
    network.save_pretrained(folder)
    RTDetrImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(folder)
    return folder


def make_tiny_pose_estimator(folder: Path, *, experts: int = 1, joints: int = 17) -> Path:
    """Write a tiny ViTPose that is sure of every joint; with more than one of `experts` a ViTPose+."""
    torch.manual_seed(0)
    backbone = VitPoseBackboneConfig(
        image_size=(64, 48),
        patch_size=(16, 16),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        num_experts=experts,
        part_features=4,
        out_indices=[2],
    )
    network = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=joints))
    nn.init.normal_(network.head.conv.weight, std=0.1)
    nn.init.ones_(network.head.conv.bias)
    network.eval().save_pretrained(folder)
    VitPoseImageProcessorPil(size={"height": 64, "width": 48}).save_pretrained(folder)
    return folder
