"""Lists the export formats."""

from ssl_jax.weights import as_jax, as_onnx, as_safetensors, as_timm
from ssl_jax.weights.network import Format

FORMATS: dict[str, Format] = {
    'safetensors': as_safetensors.FORMAT,
    'timm': as_timm.FORMAT,
    'jax': as_jax.FORMAT,
    'onnx': as_onnx.FORMAT,
}
