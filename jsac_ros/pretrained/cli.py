"""A pretrained encoder: convert published weights, and use its features instead of the images of a camera.

  jsac-ros encoder convert resnet18.safetensors --to encoder.safetensors              of torchvision, timm or transformers
  jsac-ros encoder convert resnet10_params.pkl --to encoder.safetensors --stages 3    SERL's; nothing is unpickled
  jsac-ros encoder apply demos my_robot.yaml cameras.front.encoder=encoder.safetensors --to demos_features
                                                                converts a store of images to one of features
  jsac-ros run my_robot.yaml cameras.front.encoder=encoder.safetensors

The encoder stays frozen. Its features of each image are computed once, when the image is observed, and stored; an update then
computes no convolution, only learned spatial pooling.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from jsac_ros.config import ConfigError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="encoder_verb", required=True, metavar="convert|apply")
    convert = verbs.add_parser("convert", help="convert the published weights of a ResNet to an encoder file")
    convert.add_argument("weights", type=Path, help="weights: .safetensors, .pth, .pt, .bin or .pkl")
    convert.add_argument("--to", required=True, type=Path, metavar="FILE.safetensors", help="encoder file to write")
    convert.add_argument(
        "--stages", type=int, default=4, metavar="N", help="number of stages to keep, from the first (default 4)"
    )
    apply = verbs.add_parser("apply", help="compute the features of a store of images")
    apply.add_argument("store", help="a replay store with images, such as demonstrations")
    apply.add_argument("config", help="a configuration with cameras.NAME.encoder")
    apply.add_argument("overrides", nargs="*", default=[], metavar="key=value", help="section.field=value of the configuration")
    apply.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="folder of the new store")


def main(arguments: argparse.Namespace) -> int:
    return {"convert": _convert, "apply": _apply}[arguments.encoder_verb](arguments)


def _convert(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.stages <= 4:
        raise ConfigError(f"--stages is {arguments.stages}; expected 1 to 4")
    if arguments.to.suffix != ".safetensors":
        raise ConfigError(f"--to {arguments.to}: expected a file named .safetensors")
    from jsac_ros.pretrained import convert, files
    from jsac_ros.pretrained.network import Encoder

    card, tensors = convert.convert(arguments.weights, arguments.stages)
    try:
        Encoder(card, tensors)
    except ConfigError as error:
        raise ConfigError(f"weights {arguments.weights}: {error}") from None
    files.save(arguments.to, card, tensors)
    values = sum(value.size for value in tensors.values())
    shapes = ", ".join(f"{'x'.join(map(str, card.shape_of(side, side)))} of an image of {side}x{side}" for side in (64, 128))
    print(f"{arguments.to}: ResNet of {'+'.join(map(str, card.blocks))} blocks, {values / 1e6:.1f} million parameters")
    print(f"features: {shapes}")
    print(f"to learn from them: cameras.NAME.encoder={arguments.to}")
    return 0


def _apply(arguments: argparse.Namespace) -> int:
    from jsac_ros import parameters
    from jsac_ros.pretrained.stores import apply
    from jsac_ros.rig import Rig

    rig = Rig.of(parameters.load(arguments.config, dict(map(parameters.parse_override, arguments.overrides))))
    steps = apply(arguments.store, rig, arguments.to)
    print(f"{arguments.to}: {steps} steps with features of {', '.join(rig.encoder_cards)}")
    print(f"to learn from them: jsac-ros run {arguments.config} replay.demonstrations={arguments.to}")
    return 0
