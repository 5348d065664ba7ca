"""A real OpenAI-compatible server for tests: llama.cpp with a tiny model of random weights.

Run as a program, `python -m tests.llm_server MODEL`, it serves that model on a free loopback port,
prints the address and ends with its standard input.
"""

import string
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
CONTEXT = 16_384
"""Tokens; this model's are characters."""
EMBEDDING, FEED_FORWARD, HEADS = 32, 64, 2
API_KEY = "sk-test"
SPECIAL = ("<unk>", "<s>", "</s>")
BIAS = {'"': 9, "}": 3, "{": 3, "]": 1, ",": -1, "</s>": 1}
"""Strings end soon, a list has an item, and but one."""
CONSTANT = 8.0
"""Value of the hidden dimension that no layer changes, far above the others' noise."""


def write_model(path: Path) -> None:
    """Write a GGUF file of half a megabyte: one llama layer, random, the same every time.

    Random weights alone write broken UTF-8 and never end. So hidden dimension 0 is the same
    everywhere, and the column of the output matrix that it meets is a bias for each token: no bytes,
    no escapes, gladly whatever closes a JSON text.
    """
    tokens, types = _vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for name, tensor in _tensors(tokens).items():
        writer.add_tensor(name, tensor.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@contextmanager
def serve(model: Path) -> Iterator[str]:
    """Serve the model in a process of its own; yield the API's base URL."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.llm_server", str(model)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http"), "the server did not start"
            yield f"{address}/v1"
        finally:
            process.kill()


def _vocabulary() -> tuple[list[str], list[int]]:
    """Return the tokens and their types: special ones, every byte, every printable ASCII character."""
    characters = ["\u2581", *sorted(set(string.printable) - set(string.whitespace)), "\n"]
    tokens = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256)), *characters]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    types += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(characters)
    return tokens, [int(each) for each in types]


def _bias(token: str) -> float:
    if token in ("<unk>", "<s>", "\\") or token.startswith("<0x"):
        return -40
    return BIAS.get(token, 0)


def _tensors(tokens: list[str]) -> dict[str, NDArray[np.float64]]:
    random = np.random.default_rng(7)

    def matrix(rows: int, columns: int) -> NDArray[np.float64]:
        return random.normal(0, 0.2, (rows, columns))

    embedding = matrix(len(tokens), EMBEDDING)
    embedding[:, 0] = CONSTANT
    output = matrix(len(tokens), EMBEDDING)
    # The last normalisation divides by the root mean square, which the constant makes up.
    output[:, 0] = [_bias(token) / np.sqrt(EMBEDDING) for token in tokens]
    attended, fed = matrix(EMBEDDING, EMBEDDING), matrix(EMBEDDING, FEED_FORWARD)
    attended[0], fed[0] = 0, 0
    return {
        "token_embd.weight": embedding,
        "blk.0.attn_norm.weight": np.ones(EMBEDDING),
        "blk.0.attn_q.weight": matrix(EMBEDDING, EMBEDDING),
        "blk.0.attn_k.weight": matrix(EMBEDDING, EMBEDDING),
        "blk.0.attn_v.weight": matrix(EMBEDDING, EMBEDDING),
        "blk.0.attn_output.weight": attended,
        "blk.0.ffn_norm.weight": np.ones(EMBEDDING),
        "blk.0.ffn_gate.weight": matrix(FEED_FORWARD, EMBEDDING),
        "blk.0.ffn_up.weight": matrix(FEED_FORWARD, EMBEDDING),
        "blk.0.ffn_down.weight": fed,
        "output_norm.weight": np.ones(EMBEDDING),
        "output.weight": output,
    }


def main(model: str) -> None:
    """Serve until standard input ends."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"tiny"}
    params.api_keys = [API_KEY]
    params.n_ctx = CONTEXT
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.warmup = False
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
