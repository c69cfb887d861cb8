"""Files in and out: what is read is what was written, and packing keeps the base's tokenizer."""
import tempfile
import unittest
from pathlib import Path

import gguf
import tiny
import numpy as np
import torch
from gguf import GGMLQuantizationType, dequantize

import pack
from layerskip import gguf_io, hf_io, text
from layerskip.grids import GRIDS, round_matrix


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.model = tiny.make_model()
        tiny.write_tiny(self.path / "base.gguf", self.model)

    def tearDown(self):
        self.folder.cleanup()

    def assert_same(self, a, b):
        for name, w in a.state_dict().items():
            torch.testing.assert_close(w, b.state_dict()[name], rtol=0, atol=0, msg=name)


class RoundTrips(Folder):
    def test_gguf_read_save_read(self):
        once, _ = gguf_io.load_gguf(self.path / "base.gguf")
        self.assert_same(self.model, once)
        tensors = [(n, w, GGMLQuantizationType.F32) for n, w in gguf_io.gguf_tensors(once)]
        gguf_io.write_gguf(self.path / "copy.gguf", self.path / "base.gguf", tensors, {}, {"skiplens.exit_layer": 2})
        twice, meta = gguf_io.load_gguf(self.path / "copy.gguf")
        self.assert_same(once, twice)
        self.assertEqual(meta.pop("skiplens.exit_layer"), 2)
        self.assertEqual(meta, gguf_io.read_meta(self.path / "base.gguf"))

    def test_interleave_undoes_half_rotate(self):
        w = torch.arange(4 * 16 * 3.0).view(64, 3)
        torch.testing.assert_close(gguf_io.interleave(gguf_io.half_rotate(w, 4), 4), w)
        torch.testing.assert_close(gguf_io.half_rotate(gguf_io.interleave(w, 4), 4), w)
        self.assertFalse(torch.equal(gguf_io.half_rotate(w, 4), w))

    def test_safetensors(self):
        hf_io.save_safetensors(self.model, self.path / "model.safetensors")
        other = tiny.make_model(seed=5)
        hf_io.load_weights(other, self.path / "model.safetensors")
        self.assert_same(self.model, other)

    def test_unknown_tensor_is_refused(self):
        with self.assertRaisesRegex(ValueError, "rope_freqs"):
            gguf_io.hf_name("rope_freqs.weight")


class Grids(unittest.TestCase):
    def test_packed_bytes_read_as_the_same_weights(self):
        w = torch.randn(6, 96, generator=torch.Generator().manual_seed(3))
        for name, grid in GRIDS.items():
            coded = round_matrix(w, grid)
            read = dequantize(coded.pack(), grid.kind)
            np.testing.assert_allclose(read, coded.weights().numpy(), atol=1e-6, err_msg=name)
            error = (coded.weights() - w).square().mean().sqrt().item()
            self.assertLess(error, {"q4": 0.12, "q5": 0.06, "q8": 0.01}[name[:2]], name)

    def test_a_block_of_zeros(self):
        for grid in GRIDS.values():
            self.assertTrue((round_matrix(torch.zeros(2, 32), grid).weights() == 0).all())


class Packing(Folder):
    def pack(self, *more: str):
        out = self.path / "out.gguf"
        pack.main(["--base", str(self.path / "base.gguf"), "--out", str(out), "--name", "tuned", *more])
        return gguf_io.load_gguf(out)

    def test_metadata_is_kept_and_defaults_are_added(self):
        _, meta = self.pack("--exit-layer", "2", "--num-speculations", "3", "--draft-vocab", "128")
        base = gguf_io.read_meta(self.path / "base.gguf")
        for key, value in base.items():
            if key.startswith("tokenizer."):
                self.assertEqual(meta[key], value, key)
        self.assertEqual(meta["general.name"], "tuned")
        self.assertEqual([meta[f"skiplens.{k}"] for k in ("exit_layer", "num_speculations", "draft_vocab")], [2, 3, 128])

    def test_eight_bits_change_little(self):
        packed, _ = self.pack("--body", "q8_0")
        ids = torch.arange(1, 20)[None]
        ours, theirs = (m.head(m.hiddens(ids, {4})[4]) for m in (packed, self.model))
        self.assertLess((ours - theirs).abs().mean().item(), 0.05 * theirs.abs().mean().item())

    def test_rounding_by_activations_beats_nearest(self):
        answers = tiny.make_answers(self.model)
        torch.save([(a.ids, a.start, a.hidden, a.top) for a in answers], self.path / "text.pt")
        ids = torch.tensor([answers[0].ids, answers[1].ids[:len(answers[0].ids)]][:1])
        want = self.model.hiddens(ids, {4})[4]
        error = lambda m: (m.hiddens(ids, {4})[4] - want)[:, 1:].square().mean().item()
        nearest = error(self.pack("--body", "q4_0")[0])
        feeding = error(self.pack("--body", "q4_0", "--calibrate", str(self.path / "text.pt"))[0])
        self.assertLess(feeding, nearest)

    def kinds(self) -> dict[str, str]:
        return {t.name: t.tensor_type.name for t in gguf.GGUFReader(self.path / "out.gguf").tensors}

    def test_types_by_layer(self):
        self.pack("--body", "q5_0:2,q4_0")
        kinds = self.kinds()
        self.assertEqual([kinds[f"blk.{i}.attn_q.weight"] for i in range(4)], ["Q5_0", "Q5_0", "Q4_0", "Q4_0"])
        with self.assertRaises(SystemExit):
            self.pack("--body", "q5_0:2,q4_0:1")

    def test_untouched_layers_are_kept_as_stored(self):
        tuned = tiny.make_model()
        with torch.no_grad():
            tuned.model.layers[0].mlp.up_proj.weight.mul_(1.5)
        hf_io.save_safetensors(tuned, self.path / "model.safetensors")
        weights = ("--weights", str(self.path / "model.safetensors"), "--head", "keep")
        packed, _ = self.pack("--body", "q8_0:1,keep", *weights)
        self.assertEqual(self.kinds()["blk.1.attn_q.weight"], "F32")
        for name, w in packed.state_dict().items():
            if ".layers.0." not in name:
                self.assertTrue(torch.equal(w, self.model.state_dict()[name]), name)
        with self.assertRaisesRegex(SystemExit, "was tuned"):
            self.pack("--body", "keep", *weights)


class Text(Folder):
    def test_chat_and_tokenizer_from_the_file(self):
        _, meta = gguf_io.load_gguf(self.path / "base.gguf")
        chat = text.Chat.from_meta(meta)
        ids = chat.encode(["hi 12"])
        self.assertEqual(ids[0], 1)
        self.assertEqual(chat.tokenizer.decode(ids, skip_special_tokens=False),
                         "<|im_start|>user\nhi 12<|im_end|>\n<|im_start|>assistant\n")

    def test_prompts_plain_and_gzipped(self):
        import gzip
        row = '{"source": "x", "turns": ["a", "b", "c"]}\n'
        (self.path / "p.jsonl").write_text(row * 2)
        with gzip.open(self.path / "p.jsonl.gz", "wt") as f:
            f.write(row)
        self.assertEqual(text.read_prompts(self.path / "p.jsonl"), [["a", "b", "c"]] * 2)
        self.assertEqual(text.read_prompts(self.path / "p.jsonl.gz"), [["a", "b", "c"]])


if __name__ == "__main__":
    unittest.main()
