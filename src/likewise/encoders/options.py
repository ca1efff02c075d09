"""The section [encoder]."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from likewise.options import Options


class TextEncoderOptions(Options):
    """A sentence-transformers model."""

    implementation: ClassVar[str] = "likewise.encoders.text:TextEncoder"
    paths: ClassVar[tuple[str, ...]] = ("model",)

    kind: Literal["text"] = "text"
    model: str
    """A folder, or a name on the Hugging Face hub."""
    query_prompt: str | None = None
    """Put before every query text, such as "query: "; None uses the model's own prompt for queries, "" none."""
    document_prompt: str | None = None
    """Put before every document text; None uses the model's own prompt for documents, "" none."""
    max_length: int | None = Field(None, ge=1)
    """Longest input in tokens when vectors are computed; None uses the model's own."""
    frozen_layers: int = Field(0, ge=0)
    """Keep this many transformer layers from the bottom, and the embeddings below, as they are; their backward is skipped."""
    cache_dir: str | None = None
    """Where downloaded models are kept; None uses Hugging Face's own place."""
    revision: str | None = None
    """A branch, tag or commit of the model on the hub."""


class StaticEncoderOptions(Options):
    """Token embeddings with a tokenizer of its own, learnt from the training split; runs in microseconds on a CPU."""

    implementation: ClassVar[str] = "likewise.encoders.static:StaticEncoder"

    kind: Literal["static"] = "static"
    dimension: int = Field(256, ge=2)
    """The length of a vector."""
    vocabulary: int = Field(16000, ge=300)
    """The most tokens that the tokenizer learns."""
    seed: int = 0
    """Of the random directions that token embeddings begin with (scaled by inverse document frequency)."""


class HitEncoderOptions(Options):
    """A perceptron over rows of numbers, such as the hits of a detector: Linear → LayerNorm → Tanh blocks, scaled features."""

    implementation: ClassVar[str] = "likewise.encoders.hits:HitEncoder"

    kind: Literal["hits"] = "hits"
    widths: tuple[Annotated[int, Field(ge=1)], ...] | None = Field(None, min_length=1)
    """Width of each hidden layer; None is four of 1024 where there is a CUDA GPU, four of 256 elsewhere."""
    dimension: int = Field(8, ge=1)
    """The length of a vector."""
    unit_length: bool = False
    """Whether vectors are scaled to length 1 (a margin is then at most 2)."""
    seed: int = 0
    """Of the weights it begins with."""


class PixelOptions(Options):
    """How the values of a picture become what a model sees. Colour pictures of 8 bits are taken as they are."""

    window: Literal["auto", "frame", "data", "limits"] = "auto"
    """What becomes 0 and 1 in a picture of one channel: "frame" its own percentiles, "data" the range of the training split,
    "limits" given values; "auto" takes 8 bits as they are, and of more the frame's least and greatest value."""
    percentiles: tuple[float, float] = (0.0, 100.0)
    """With window = "frame", the percentiles of the frame's values; what lies outside is cut."""
    limits: tuple[float, float] | None = None
    """With window = "limits", the values that become 0 and 1; what lies outside is cut."""
    gamma: float = Field(1.0, gt=0)
    """Values in [0, 1] are raised to this power."""
    clahe: float | None = Field(None, gt=0)
    """Clip limit of a contrast-limited adaptive histogram equalisation, such as 2; None leaves the contrast as it is."""
    frame: int = Field(0, ge=0)
    """Which page of a picture of several pages is read. Where only this or [ingest] frame is given, the other is the same."""

    @model_validator(mode="after")
    def _limits_where_wanted(self) -> Self:
        if (self.window == "limits") != (self.limits is not None):
            raise ValueError('window = "limits" and limits go together: give both or neither')
        if self.window != "frame" and self.percentiles != (0.0, 100.0):
            raise ValueError('percentiles have an effect with window = "frame" only')
        return self


class ImageEncoderOptions(Options):
    """A vision model of transformers: ResNet, ConvNeXt, ViT, DINOv2, DINOv3, CLIP, SigLIP."""

    implementation: ClassVar[str] = "likewise.encoders.image:ImageEncoder"
    paths: ClassVar[tuple[str, ...]] = ("model",)

    kind: Literal["image"] = "image"
    model: str
    """A folder, or a name on the Hugging Face hub, such as "facebook/dinov2-small"."""
    pooling: Literal["auto", "pooler", "cls", "mean", "patches"] = "auto"
    """"auto" takes the model's own pooled features (of CLIP and SigLIP, those that stand beside texts); "cls" the class token,
    "mean" all tokens, "patches" the mean and spread of those that stand for patches."""
    pixels: PixelOptions = PixelOptions()
    """How frames of one channel, of 16 bits or of measured values are windowed."""
    channels_last: bool = True
    """Whether convolutions work on pixels whose channels stand together, which is faster on most processors."""
    cache_dir: str | None = None
    """Where downloaded models are kept; None uses Hugging Face's own place."""
    revision: str | None = None
    """A branch, tag or commit of the model on the hub."""


class ConvolutionalEncoderOptions(Options):
    """A small convolutional network trained from scratch: in seconds, without a download."""

    implementation: ClassVar[str] = "likewise.encoders.convolutional:ConvolutionalEncoder"

    kind: Literal["convolutional"] = "convolutional"
    size: int = Field(32, ge=8, le=256)
    """Pictures are stretched to so many pixels each way."""
    widths: tuple[Annotated[int, Field(ge=8, multiple_of=8)], ...] = Field((32, 64), min_length=1)
    """Channels of each pair of convolutions; each pair halves the picture."""
    dimension: int = Field(64, ge=2)
    """D, the length of the vectors."""
    pixels: PixelOptions = PixelOptions()
    """How frames of one channel, of 16 bits or of measured values are windowed."""
    seed: int = Field(0, ge=0)
    """Of the weights before training."""


class OpenCLIPEncoderOptions(Options):
    """The image tower of an OpenCLIP model (extra: openclip): its pooled features, projected to where they stand beside texts."""

    implementation: ClassVar[str] = "likewise.encoders.openclip:OpenCLIPEncoder"
    paths: ClassVar[tuple[str, ...]] = ("model", "pretrained")

    kind: Literal["openclip"] = "openclip"
    model: str
    """A name that OpenCLIP knows, such as "ViT-B-32"; or, with its weights inside, a folder with open_clip_config.json, or a
    repository of the Hugging Face hub as "hf-hub:owner/name"."""
    pretrained: str | None = None
    """The weights of a name: a tag of OpenCLIP's, such as "laion2b_s34b_b79k", or a file of weights."""
    pixels: PixelOptions = PixelOptions()
    """How frames of one channel, of 16 bits or of measured values are windowed."""
    channels_last: bool = True
    """Whether convolutions work on pixels whose channels stand together, which is faster on most processors."""
    cache_dir: str | None = None
    """Where downloaded weights are kept; None uses Hugging Face's own place."""


class OpenVINOEncoderOptions(Options):
    """A vision model in an ONNX, OpenVINO IR or TFLite file (extra: openvino). It is used as it is, never trained."""

    implementation: ClassVar[str] = "likewise.encoders.openvino:OpenVINOEncoder"
    paths: ClassVar[tuple[str, ...]] = ("model",)

    kind: Literal["openvino"] = "openvino"
    model: str
    """The file: .onnx, .xml (with its .bin beside it) or .tflite."""
    output: str | None = None
    """The tensor that is the vector, by its name, or by the name or kind of the operation that makes it: the last such one;
    None takes the model's only output."""
    resize: Literal["crop", "stretch"] = "crop"
    """Whether the middle of a picture is kept in its proportions, or all of it is stretched to the model's size."""
    resample: Literal["bilinear", "bicubic", "nearest"] = "bilinear"
    """How pictures are resized."""
    scale: float = 1 / 255
    """Pixels of 0 to 255 are multiplied by this; models that take bytes get them as they are."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Subtracted from red, green and blue after that; models that take bytes do it themselves."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """And what they are divided by."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """In which the model is run; bfloat16 is faster where the processor has it."""
    pixels: PixelOptions = PixelOptions()
    """How frames of one channel, of 16 bits or of measured values are windowed."""

    @field_validator("pixels")
    @classmethod
    def _no_fitted_window(cls, pixels: PixelOptions) -> PixelOptions:
        if pixels.window == "data":
            raise ValueError('window = "data" is learnt, which a model in a file is not: give limits')
        return pixels


ENCODER_KINDS: dict[str, type[Options]] = {
    "text": TextEncoderOptions,
    "static": StaticEncoderOptions,
    "image": ImageEncoderOptions,
    "convolutional": ConvolutionalEncoderOptions,
    "openclip": OpenCLIPEncoderOptions,
    "openvino": OpenVINOEncoderOptions,
    "hits": HitEncoderOptions,
}
