"""What only a CUDA machine would show, on one that is not there: tensors of two devices in one operation, and memory."""
import unittest

import fakes
import tiny
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from layerskip import distil, measure
from layerskip.batches import pad
from layerskip.train import Settings, Trainer

CUDA = torch.device("cuda")


def settings(**more) -> Settings:
    wanted = dict(seconds=1, exits=[1, 2], deep_exits=[3], other_tokens=0, deep_share=1.0)
    return Settings(**(wanted | more))


def trainer(config, answers, device: str, **more) -> Trainer:
    published = fakes.fake_model(config, device, torch.bfloat16).requires_grad_(False)
    return Trainer(fakes.fake_model(config, device), answers, settings(**more), published)


class Devices(unittest.TestCase):
    """Fake tensors refuse to mix devices, as CUDA does, and to be looked at, which on CUDA means to wait."""

    def setUp(self):
        mode = fakes.fake_cuda()
        mode.__enter__()
        self.addCleanup(mode.__exit__, None, None, None)

    def test_the_fake_device_refuses_other_tensors(self):
        with self.assertRaises(Exception):
            torch.zeros(2, device="cuda") + torch.zeros(2)

    def check_loss(self, **more):
        answers = fakes.fake_answers(tiny.CONFIG, 6, 5, 9)
        t = trainer(tiny.CONFIG, answers, "cuda", **more)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss, facts = t.loss(pad(answers).to(CUDA), 0.5)
        self.assertEqual((loss.device.type, loss.dtype), ("cuda", torch.float32))
        self.assertEqual({v.device.type for v in facts.values() if torch.is_tensor(v)}, {"cuda"})
        for p in t.named.values():
            p.grad = torch.zeros_like(p)
        t.optimizers.step(1e-3)
        t.step = 4
        t.update_average()
        t.load_average()

    def test_loss_of_all_layers(self):
        self.check_loss()

    def test_loss_with_dropout_a_deep_part_and_turns(self):
        self.check_loss(p_max=0.5, deep_share=0.5, rotate=1)

    def test_loss_with_muon(self):
        self.check_loss(optimizer="muon")

    def test_loss_with_a_boundary(self):
        self.check_loss(boundary=3, deep_exits=[])

    def test_loss_with_a_boundary_and_the_last_layer(self):
        self.check_loss(boundary=3, deep_exits=[], last_weight=1.0, deep_share=0.5)

    def test_a_checkpoint_from_the_cpu(self):
        moments = {k: torch.zeros(96, 64) for k in ("exp_avg", "exp_avg_sq")} | {"step": torch.tensor(3.0)}
        name, answers = "model.layers.0.mlp.up_proj.weight", fakes.fake_answers(tiny.CONFIG, 2, 5, 9)
        published = fakes.fake_model(tiny.CONFIG, "cuda").requires_grad_(False)
        t = Trainer(fakes.fake_model(tiny.CONFIG, "cuda"), answers, settings(), published,
                    state={"moments": {name: moments}, "average": {name: torch.zeros(96, 64)}})
        found = t.optimizers.moments()[name]
        self.assertEqual({v.device.type for v in [*found.values(), *t.average.values()]}, {"cuda"})

    def test_generation(self):
        model = fakes.fake_model(tiny.CONFIG, "cuda", torch.bfloat16).eval()
        with torch.inference_mode():
            batch = distil.start_batch(model, [[1] * 5, [1] * 3, [1] * 4], [0.0, 1.0, 0.8], 10, 2)
            for step in range(2):
                h = distil.step_hidden(model, batch, x) if step else distil.read_prompts(model, batch)
                logits = torch.nn.functional.linear(h, model.head_weight).float()
                token = distil.choose(logits, logits.topk(4, -1).indices, batch.heat)
                rows = torch.arange(2, device="cuda")
                batch.keep(rows)
                x = token[rows][:, None]
        self.assertEqual((x.shape, x.device.type), ((2, 1), "cuda"))

    def test_measuring(self):
        model = fakes.fake_model(tiny.CONFIG, "cuda", torch.bfloat16).eval()
        with torch.inference_mode():
            hiddens = measure.answer_hiddens(model, [1] * 9, 4, {2, 4})
            self.assertEqual(model.head(hiddens[4]).device.type, "cuda")


class Memory(unittest.TestCase):
    def peak(self, config, **more) -> int:
        """Bytes of one step over 4,096 rows beyond the model's."""
        with FakeTensorMode():
            answers = fakes.fake_answers(config, 64, 8, 64)
            t = trainer(config, answers, "cpu", **more)
            rows = pad(answers)
            with fakes.Peak() as peak, torch.autocast("cpu", dtype=torch.bfloat16):
                loss, _ = t.loss(rows, 0.5)
                loss.backward()
        return peak.most

    def test_more_exits_cost_no_more_logits(self):
        from dataclasses import replace
        config = replace(tiny.CONFIG, vocab=32000)
        few, many = self.peak(config, exits=[1], deep_exits=[]), self.peak(config, exits=[1, 2], deep_exits=[3])
        logits = 4096 * config.vocab * 4
        self.assertLess(many - few, 0.3 * logits)
        self.assertLess(many, 6 * logits)


if __name__ == "__main__":
    unittest.main()
