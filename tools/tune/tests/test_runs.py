"""The programs from end to end, on a tiny model: a GGUF file or a Hugging Face folder in, tuned weights and a GGUF out."""
import contextlib
import io
import json
import unittest
from dataclasses import asdict, replace
from pathlib import Path

import tiny
import torch
from safetensors.torch import load_file, save_file
from test_files import Folder

import compact
import compare
import gpu
import pack
import tune
from layerskip import gguf_io, hf_io, text
from layerskip.base import load_base

TINY = ("--hold-out 4 --gen-seconds 0 --gen-batch 8 --max-new 12 --top 4 --exits 1,2 --deep-exits 3 --max-steps 4 --log-every 1 "
        "--batch-tokens 256 --other-tokens 32 --measure-exits 1,2,3 --measure-new 8 --max-prompt 100 --warmup 1 --lr 3e-3").split()


def write_folder(folder: Path, model, meta: dict, tied: bool = True) -> None:
    """`model` as Hugging Face lays it out, in two safetensors files and bfloat16."""
    folder.mkdir()
    c, tokens = asdict(tiny.CONFIG), meta["tokenizer.ggml.tokens"]
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "vocab_size": c["vocab"], "num_hidden_layers": c["layers"], "hidden_size": c["dim"],
        "intermediate_size": c["ffn"], "num_attention_heads": c["heads"], "num_key_value_heads": c["kv_heads"],
        "rope_theta": c["rope_base"], "rms_norm_eps": c["norm_eps"], "tie_word_embeddings": tied}))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": tokens[1], "eos_token": {"content": tokens[2]}, "chat_template": text.CHATML}))
    text.tokenizer_from_meta(meta).save(str(folder / "tokenizer.json"))
    state = {name: w.detach().bfloat16().contiguous() for name, w in model.state_dict().items()}
    names = sorted(state)
    for i, part in enumerate((names[::2], names[1::2])):
        save_file({name: state[name] for name in part}, folder / f"model-{i}.safetensors")


class Runs(Folder):
    def setUp(self):
        super().setUp()
        self.gguf, self.hf, self.out = (self.path / name for name in ("base.gguf", "hf", "run"))
        self.prompts = self.path / "prompts.jsonl"
        self.prompts.write_text("".join(json.dumps({"turns": [f"hi {i}"]}) + "\n" for i in range(16)))

    def quiet(self, program, *flags) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()):
            program([str(flag) for flag in flags])
        return out.getvalue()

    def tune(self, base: Path, *more) -> dict:
        self.quiet(tune.main, "--base", base, "--prompts", self.prompts, "--out", self.out, *TINY, *more)
        return json.loads((self.out / "metrics.json").read_text())

    def tuned(self, base: Path):
        model = load_base(base).model
        hf_io.load_weights(model, self.out / "model.safetensors")
        return model


class HuggingFace(Runs):
    def setUp(self):
        super().setUp()
        self.meta = gguf_io.read_meta(self.gguf)
        write_folder(self.hf, self.model, self.meta)

    def test_a_folder_reads_as_the_gguf_of_the_same_model(self):
        folder, file = load_base(self.hf), load_base(self.gguf)
        self.assertAlmostEqual(folder.model.c.norm_eps, file.model.c.norm_eps)
        self.assertEqual(replace(folder.model.c, norm_eps=0), replace(file.model.c, norm_eps=0))
        for name, w in file.model.state_dict().items():
            torch.testing.assert_close(folder.model.state_dict()[name], w, rtol=0.01, atol=1e-3, msg=name)
        self.assertEqual(folder.chat.encode(["hi"]), file.chat.encode(["hi"]))
        self.assertEqual(folder.chat.eos_id, file.chat.eos_id)

    def test_a_head_of_its_own_is_read(self):
        state = dict(self.model.state_dict()) | {"lm_head.weight": torch.randn(tiny.CONFIG.vocab, tiny.CONFIG.dim)}
        config = self.hf / "config.json"
        config.write_text(config.read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false'))
        for old in self.hf.glob("*.safetensors"):
            old.unlink()
        save_file(state, self.hf / "model.safetensors")
        model = load_base(self.hf).model
        self.assertFalse(torch.equal(model.head_weight, model.model.embed_tokens.weight))
        torch.testing.assert_close(model.head_weight, state["lm_head.weight"])

    def test_a_folder_is_tuned_and_saved(self):
        before = load_base(self.hf).model.state_dict()
        metrics = self.tune(self.hf)
        self.assertEqual(metrics["training"]["steps"], 4)
        self.assertEqual(set(metrics["after"]["exits"]), {"1", "2", "3"})
        state = load_file(self.out / "model.safetensors")
        self.assertEqual(state.keys(), before.keys())
        self.assertEqual({w.dtype for w in state.values()}, {torch.float32})
        moved = {name for name, w in state.items() if not torch.equal(w, before[name])}
        self.assertTrue(moved and all(".layers." in name for name in moved))

    def test_what_is_no_plain_llama_is_refused(self):
        config = self.hf / "config.json"
        plain = config.read_text()
        for old, new, says in (('"llama"', '"qwen2"', "only llama"), ("{", '{"rope_scaling": {"factor": 8}, ', "rope scaling")):
            config.write_text(plain.replace(old, new, 1))
            with self.assertRaisesRegex(ValueError, says):
                load_base(self.hf)


class Programs(Runs):
    def test_tune_pack_compare(self):
        self.tune(self.gguf, "--no-measure-before")
        packed = self.path / "tuned.gguf"
        self.quiet(pack.main, "--base", self.gguf, "--weights", self.out / "model.safetensors", "--out", packed, "--body", "q8_0",
                   "--calibrate", self.out / "text.pt", "--exit-layer", 2)
        line = self.quiet(compare.main, packed, "--base", self.gguf, "--prompts", self.prompts, "--hold-out", 4,
                          "--measure-new", 8, "--measure-exits", "1,2")
        report = json.loads(line)
        self.assertEqual((report["file"], set(report["exits"])), ("tuned.gguf", {"1", "2"}))

    def test_a_run_that_was_cut_goes_on_and_can_be_packed(self):
        self.tune(self.gguf, "--no-measure-before")
        first = torch.load(self.out / "state.pt")
        self.assertLess(first["fraction"], 1)
        model = load_base(self.gguf).model
        hf_io.load_weights(model, self.out / "state.pt")
        self.assert_same(model, self.tuned(self.gguf))
        metrics = self.tune(self.gguf, "--no-measure-before", "--text", self.out / "text.pt", "--resume", self.out / "state.pt",
                            "--boundary", 2, "--deep-exits", ",", "--upper-lr", 1)
        self.assertEqual(metrics["training"]["steps"], 4)
        self.assertGreater(torch.load(self.out / "state.pt")["fraction"], first["fraction"])

    def test_a_run_that_ended_asks_where_to_go_on(self):
        self.tune(self.gguf, "--no-measure-before", "--train-seconds", 1e-9)
        with self.assertRaisesRegex(SystemExit, "--first"):
            self.tune(self.gguf, "--text", self.out / "text.pt", "--resume", self.out / "state.pt")

    def test_training_ends_in_time_for_the_rest(self):
        metrics = self.tune(self.gguf, "--no-measure-before", "--total-seconds", 0.001, "--train-seconds", 1000)
        self.assertEqual(metrics["training"]["settings"]["seconds"], 1.0)

    def test_a_sample_of_the_text_is_kept(self):
        self.tune(self.gguf, "--no-measure-before", "--text-tokens", 30)
        rows = torch.load(self.out / "text.pt")
        self.assertTrue(0 < sum(len(ids) - start for ids, start, *_ in rows) <= 30 + 12)

    def test_measured_tuned_and_made_compact(self):
        ours = [*zip(TINY[::2], TINY[1::2])]
        tiny_flags = [word for pair in ours if pair[0] not in ("--gen-batch", "--batch-tokens") for word in pair]
        out = self.quiet(gpu.main, "--base", self.gguf, "--prompts", self.prompts, "--out", self.out, "--gen-batches", "2,4",
                         "--train-batches", "128,256", "--minutes", "0.02", *tiny_flags)
        self.assertIn("tokens/s", out)
        self.assertIn("--batch-tokens", out)
        for grid, error in (("q4_0", 0.15), ("q8_0", 0.02)):
            self.quiet(compact.main, "read", "--base", self.gguf, "--parts", self.out / f"parts-{grid}", "--weights",
                       self.path / "back.safetensors")
            back, tuned, base = load_file(self.path / "back.safetensors"), self.tuned(self.gguf).state_dict(), self.model.state_dict()
            name = "model.layers.0.mlp.up_proj.weight"
            change = tuned[name] - base[name]
            self.assertLess((back[name] - tuned[name]).norm().item(), error * change.norm().item())
            self.assertTrue(torch.equal(back["model.norm.weight"], tuned["model.norm.weight"]))

    def test_the_recipes_are_flags_that_tune_knows(self):
        for recipe in gpu.RECIPES.values():
            a = tune.arguments(["--base", "b", "--prompts", "p", "--out", "o", *gpu.SHARED.split(), *recipe.split()])
            self.assertTrue(a.exits and a.other_tokens == 0)

    def test_parts_are_joined_only_when_all_are_there(self):
        data = bytes(range(256)) * 10
        paths = compact.write_parts(data, self.path / "parts", 1000)
        self.assertEqual(compact.read_parts(self.path / "parts"), data)
        paths[1].unlink()
        with self.assertRaisesRegex(SystemExit, "2 parts of 3"):
            compact.read_parts(self.path / "parts")


if __name__ == "__main__":
    unittest.main()
