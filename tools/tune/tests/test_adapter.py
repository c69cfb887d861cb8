"""Exit adapters: chains, training, resuming, files."""
import collections
import itertools
import json
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import gguf
import tiny
import torch

import adapter as tool
from layerskip import adapter_report, adapter_train, answers, prompts
from layerskip.adapter import Adapter


class Runs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.model = tiny.make_model().eval().requires_grad_(False)
        self.base = self.path / "base.gguf"
        tiny.write_tiny(self.base, self.model)
        rows = [json.dumps({"source": "x", "turns": [f"prompt {i} {'a' * (i % 5)}"]}) for i in range(40)]
        (self.path / "prompts.jsonl").write_text("\n".join(rows))

    def tearDown(self):
        self.folder.cleanup()

    def tool(self, command: str, *more: str):
        tool.main([command, "--base", str(self.base), "--run", str(self.path / "run"), *more])

    def answer(self, tokens: int, *more: str):
        self.tool("answer", *more, "--prompts", str(self.path / "prompts.jsonl"), "--exits", "1,2", "--tokens", str(tokens), "--batch", "8",
                  "--max-new", "12", "--max-prompt", "80", "--hold-out", "8")

    def test_from_prompts_to_a_file(self):
        self.answer(100)
        first = [p.read_bytes() for p in answers.files(self.path / "run" / "text")]
        self.answer(300)
        files = answers.files(self.path / "run" / "text")
        self.assertGreater(len(files), len(first))
        self.assertEqual([p.read_bytes() for p in files[:len(first)]], first)
        self.tool("train", "--epochs", "2", "--batch-tokens", "256", "--others", "0", "--depths", "2", "--acceptance", "0.3")
        self.tool("report", "--draft-vocab", "64", "--depths", "3")
        rows = json.loads((self.path / "run" / "report.json").read_text())
        self.assertEqual({(r["exit_layer"], r["adapter"]) for r in rows}, {(e, w) for e in (1, 2) for w in (True, False)})
        out = self.path / "base.exits.gguf"
        between = json.loads((self.path / "run" / "between.json").read_text())
        self.assertEqual([row["exit_layer"] for row in between], [3])
        self.assertEqual(set(between[0]["agreement"]), {"0", "2"})
        self.tool("write", "--out", str(out), "--order", "100", "--exit-layer", "2")
        reader = gguf.GGUFReader(out)
        names = {t.name: t for t in reader.tensors}
        self.assertEqual(list(reversed(names["exits.1.proj.weight"].shape.tolist())), [64, 128])
        self.assertEqual(len(names), 2 + 9)
        self.assertEqual(reader.fields["skiplens-exits.adapter_of_exit"].contents(), [0, 1, 2, between[0]["adapter_of"]])
        self.assertEqual(reader.fields["skiplens.exit_layer"].contents(), 2)
        self.tool("write", "--out", str(self.path / "order.gguf"), "--order", "50", "--adapters", "off")
        alone = gguf.GGUFReader(self.path / "order.gguf")
        self.assertEqual((len(alone.tensors), len(alone.fields["skiplens-exits.draft_order"].contents())), (0, 50))
        order = reader.fields["skiplens-exits.draft_order"].contents()
        self.assertEqual((len(order), len(set(order))), (100, 100))

    def test_states_are_those_of_a_pass_over_the_text(self):
        self.answer(50)
        model = self.model.bfloat16()
        for text in answers.load_all(self.path / "run" / "text")[:4]:
            hiddens = model.hiddens(text.ids[None, :-1].long(), [1, 2, 4])
            for index, layer in enumerate((1, 2, 4)):
                torch.testing.assert_close(text.states[:, index], hiddens[layer][0], rtol=0.1, atol=0.2)

    def test_training_reduces_the_loss_and_resumes(self):
        self.answer(400)
        stored, texts = [1, 2], answers.load_all(self.path / "run" / "text")
        torch.manual_seed(0)
        settings = adapter_train.Settings(epochs=20, batch_tokens=400, others=0, warmup=5, log_every=1000)
        trainer = adapter_train.Trainer(self.model, texts, stored, Adapter(self.model, [2]), settings, self.path)
        trainer.adapter.solve(trainer.pairs())
        before = trainer.loss(trainer.padded(texts[:6]), 2)[0].item()
        trainer.run()
        after = trainer.loss(trainer.padded(texts[:6]), 2)[0].item()
        self.assertLess(after, 0.9 * before)
        again = adapter_train.Trainer(self.model, texts, stored, Adapter(self.model, [2]), settings, self.path)
        again.run()     # it ended: nothing is left to do
        self.assertAlmostEqual(again.loss(again.padded(texts[:6]), 2)[0].item(), after, places=4)

    def test_states_can_be_computed_in_training(self):
        self.answer(200)
        stored = answers.load_all(self.path / "run" / "text")
        self.path = self.path / "other"
        self.path.mkdir()
        (self.path / "prompts.jsonl").write_text((self.path.parent / "prompts.jsonl").read_text())
        self.answer(200, "--no-states")
        bare = answers.load_all(self.path / "run" / "text")
        self.assertTrue(all(text.states is None for text in bare))
        self.assertEqual([t.ids.tolist() for t in bare], [t.ids.tolist() for t in stored])
        computed = answers.with_states(self.model.bfloat16(), bare[:5], [1, 2])
        for one, other in zip(computed, stored):
            torch.testing.assert_close(one.states, other.states, rtol=0.1, atol=0.2)
        self.tool("train", "--epochs", "2", "--batch-tokens", "256", "--others", "0", "--exits-a-step", "2")

    def test_a_run_that_was_cut_resumes_at_its_step(self):
        self.answer(300)
        texts = answers.load_all(self.path / "run" / "text")
        settings = adapter_train.Settings(epochs=4, batch_tokens=200, others=0, save_seconds=0, seconds=1000)
        make = lambda: adapter_train.Trainer(self.model, texts, [1, 2], Adapter(self.model, [1, 2]), settings, self.path)
        whole, cut, resumed = make(), make(), make()
        self.assertEqual(len(list(whole.batches(0))), whole.steps)
        with mock.patch.object(cut, "batches", lambda begin: itertools.islice(type(cut).batches(cut, begin), 5)), \
                mock.patch.object(cut, "save", wraps=cut.save) as save:
            cut.run()
        self.assertEqual(save.call_args_list[4].args[1], 5)
        state = torch.load(self.path / "state.pt")
        torch.save(state | {"fraction": 0.5}, self.path / "state.pt")
        seen = []
        with mock.patch.object(resumed, "padded", lambda texts: seen.append(texts) or type(resumed).padded(resumed, texts)):
            resumed.run()
        self.assertEqual([[t.ids.tolist() for t in b] for b in seen], [[t.ids.tolist() for t in b] for b in whole.batches(5)])

    def test_training_ends_by_the_clock(self):
        self.answer(100)
        self.tool("train", "--epochs", "100000", "--batch-tokens", "256", "--others", "0", "--seconds", "1")
        self.assertEqual(torch.load(self.path / "run" / "state.pt")["fraction"], 1.0)

    def test_tokens_of_prompts_are_trained_on(self):
        self.answer(100)
        texts = answers.load_all(self.path / "run" / "text")
        prefix = adapter_train.common_prefix(texts)
        self.assertTrue(all(torch.equal(t.ids[:prefix], texts[0].ids[:prefix]) for t in texts))
        self.assertLess(prefix, min(t.start for t in texts))
        with_prompts = adapter_train.choices(texts[:3], prefix)[1]
        self.assertEqual(with_prompts.tolist(), [i for t in texts[:3] for i in t.ids[prefix:].tolist()])
        self.assertEqual(adapter_train.choices(texts[:3])[1].tolist(), [i for t in texts[:3] for i in t.ids[t.start:].tolist()])
        self.tool("train", "--epochs", "1", "--batch-tokens", "256", "--others", "0", "--prompt-tokens")


class BuiltInPrompts(unittest.TestCase):
    def test_each_comes_once_and_the_same_for_a_seed(self):
        rows = prompts.prompts(2000, 3)
        texts = [row["turns"][0] for row in rows]
        self.assertEqual(len(set(texts)), len(texts))
        self.assertEqual(rows, prompts.prompts(2000, 3))
        self.assertNotEqual(rows, prompts.prompts(2000, 4))
        self.assertFalse([text for text in texts if "{" in text.split("\n")[0] or "}" in text.split("\n")[0]])
        counts = collections.Counter(row["source"] for row in rows)
        self.assertEqual(len(counts), 10)


class Chains(unittest.TestCase):
    def test_later_depths_are_free_running_chains(self):
        """Depth d over a whole text is what drafting from each position gives, token by token."""
        model = tiny.make_model().eval().requires_grad_(False)
        adapter = Adapter(model, [2])
        torch.manual_seed(1)
        torch.nn.init.normal_(adapter.proj["2"].weight, std=0.1)
        ids = torch.randint(3, 259, (1, 12))
        hiddens = model.hiddens(ids, [2, 4])
        h_exit, h_last = hiddens[2], hiddens[4]
        with torch.no_grad():
            outputs = adapter.chain(model, 2, h_exit, h_last, 3)
            for start in range(1, 9):
                replaced = h_last.clone()
                for depth in range(3):
                    t = start + depth
                    # The states up to `start - 1` are true, those after are the chain's own outputs.
                    o = adapter.chain(model, 2, h_exit[:, :t + 1], replaced[:, :t + 1], 1)[0][:, t]
                    torch.testing.assert_close(outputs[depth][:, t], o, rtol=1e-4, atol=1e-4)
                    replaced[:, t] = o

    def test_rounds_by_depth(self):
        counts = adapter_report.Chains()
        counts.add([[True, True, False, True], [False, True, False, False]], 2)
        # Round 1 accepts tokens 0 and 1, the verifier adds 2; round 2 accepts 3.
        self.assertEqual((counts.accepted, counts.drafted, counts.rounds), (3, 3, 2))

    def test_order_by_frequency(self):
        order = adapter_report.draft_order(torch.tensor([0, 5, 2, 5, 0]), 4)
        self.assertEqual(order.tolist(), [1, 3, 2, 0])


if __name__ == "__main__":
    unittest.main()
