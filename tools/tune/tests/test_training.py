"""Generation, measuring and training on a tiny model, in seconds."""
import contextlib
import copy
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import tiny
import torch

from layerskip import distil, losses, measure
from layerskip.batches import make_batches, pad
from layerskip.hold import Keeper
from layerskip.model import attend_in_products
from layerskip.train import Settings, Trainer


def settings(**more) -> Settings:
    wanted = dict(seconds=600, exits=[1, 2], deep_exits=[3], max_steps=25, lr=3e-3, warmup=2, batch_tokens=128,
                  other_tokens=64, ema=0.8, log_every=1000)
    return Settings(**(wanted | more))


class Distil(unittest.TestCase):
    def test_an_answer_does_not_depend_on_its_batch(self):
        model = tiny.make_model().eval()
        prompts = [[1, 40, 50], [1, 60, 70, 80, 90], [1, 100]]
        together = distil.answer(model, prompts, [0.0] * 3, 10, eos=2, top=4)
        for prompt, found in zip(prompts, together):
            alone = distil.answer(model, [prompt], [0.0], 10, eos=2, top=4)[0]
            self.assertEqual(found.ids, alone.ids)
            self.assertEqual(found.hidden.shape, (found.rows, tiny.CONFIG.dim))

    def test_the_teacher_state_gives_the_greedy_choice(self):
        model = tiny.make_model().eval()
        for a in tiny.make_answers(model, 4):
            self.assertEqual(a.top[:, 0].tolist(), a.ids[a.start:])
            choice = (a.hidden.float() @ model.head_weight.T).argmax(-1)
            self.assertGreater((choice == torch.tensor(a.ids[a.start:])).float().mean().item(), 0.9)


    def test_the_prompts_come_again_but_not_the_greedy_answers(self):
        import random
        batches = distil.plan([[i] for i in range(40)], 20, random.Random(0))
        first, second = ([next(batches) for _ in range(2)] for _ in range(2))
        for time in (first, second):
            self.assertEqual(sorted(p for prompts, _ in time for p in prompts), [[i] for i in range(40)])
        self.assertIn(0.0, [h for _, heat in first for h in heat])
        self.assertNotIn(0.0, [h for _, heat in second for h in heat])


class Attention(unittest.TestCase):
    def test_products_and_a_softmax_are_causal_attention(self):
        torch.manual_seed(0)
        q, k, v = (torch.randn(2, heads, 7, 8, requires_grad=True) for heads in (6, 2, 2))
        plain = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        found = attend_in_products(q, k, v)
        torch.testing.assert_close(found, plain)
        weights = torch.randn_like(plain)
        for a, b in zip(*(torch.autograd.grad((y * weights).sum(), (q, k, v)) for y in (found, plain))):
            torch.testing.assert_close(a, b)


class Measuring(unittest.TestCase):
    def test_drafted_is_accepted_and_rejected(self):
        torch.manual_seed(0)
        for length in (1, 3, 4):
            r = measure.Rounds()
            for _ in range(30):
                r.add((torch.rand(17) < 0.6).tolist(), length)
            self.assertEqual(r.drafted, r.accepted + r.rejected)
            self.assertLessEqual(r.accepted, r.agreed)
            self.assertEqual(r.tokens, 30 * 17)

    def test_rounds_by_hand(self):
        r = measure.Rounds()
        r.add([True, True, False, True, True, True], 2)     # TT then bonus F; TT then bonus T
        self.assertEqual((r.rounds, r.drafted, r.accepted), (2, 4, 4))
        r = measure.Rounds()
        r.add([False, True, False], 2)
        self.assertEqual((r.rounds, r.drafted, r.accepted, r.rejected), (2, 4, 1, 3))

    def test_a_model_has_not_drifted_from_itself(self):
        model = tiny.make_model().eval()
        texts = [(a.ids, a.start) for a in tiny.make_answers(model, 3)]
        report = measure.drift_report(model, model, texts)
        self.assertEqual(report["same_choice"], 1.0)
        self.assertAlmostEqual(report["kl"], 0.0, places=5)


class Losses(unittest.TestCase):
    def test_part_of_the_vocabulary_stands_for_all(self):
        torch.manual_seed(0)
        head, hidden, student = torch.randn(2000, 16) * 0.3, torch.randn(8, 16), torch.randn(8, 16)
        top = (hidden @ head.T).topk(16).indices
        found = []
        for others in (0, 600):
            v = losses.draw_vocabulary(top, 2000, others)
            columns = losses.head_columns(head, v)
            target = losses.make_target(hidden, columns, v, 1.0, 0.0)
            found.append(losses.divergence(target, student, columns, v)[0].item())
        self.assertAlmostEqual(found[0], found[1], delta=0.1 * found[0])

    def test_loss_and_gradients_are_those_of_all_rows_at_once(self):
        torch.manual_seed(0)
        hidden, head = torch.randn(50, 16), torch.randn(300, 16, requires_grad=True)
        normed, shift = torch.randn(50, 16, requires_grad=True), torch.randn(300)
        v = losses.Vocabulary(torch.arange(300), shift)
        found = []
        for rows in (7, 1000):
            with mock.patch.object(losses, "CHUNK", rows):
                target = losses.make_target(hidden, head.detach(), v, 0.7, 0.3)
                kl, agree = losses.divergence(target, normed, head, v)
            found.append((kl, agree, *torch.autograd.grad(3 * kl, (normed, head))))
        logits = normed @ head.T + shift
        teacher = hidden @ head.detach().T + shift
        p = 0.7 * (teacher / 0.7).softmax(-1) + 0.3 * torch.nn.functional.one_hot(teacher.argmax(-1), 300)
        plain = (p * (p.log() - logits.log_softmax(-1))).sum(-1).mean()
        want = (plain, (logits.argmax(-1) == teacher.argmax(-1)).float().mean(), *torch.autograd.grad(3 * plain, (normed, head)))
        for one in found:
            for a, b in zip(one, want):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

    def test_the_teacher_is_at_no_distance_from_itself(self):
        hidden, head = torch.randn(5, 16), torch.randn(50, 16)
        v = losses.Vocabulary(None, 0.0)
        target = losses.make_target(hidden, head, v, 1.0, 0.0)
        kl, agree = losses.divergence(target, hidden, head, v)
        self.assertAlmostEqual(kl.item(), 0.0, places=4)
        self.assertEqual(agree.item(), 1.0)


class Training(unittest.TestCase):
    def setUp(self):
        self.published = tiny.make_model()
        self.answers = tiny.make_answers(self.published)
        self.published.requires_grad_(False)

    def trainer(self, model=None, **more):
        model = model or copy.deepcopy(self.published).requires_grad_(True)
        state, out = more.pop("state", None), more.pop("out", None)
        return Trainer(model, self.answers, settings(**more), self.published, out, state)

    def exit_loss(self, model) -> float:
        t = self.trainer(model)
        with torch.no_grad():
            _, facts = t.loss(pad(self.answers), 0.0)
        return facts["kl_E1"] + facts["kl_E2"]

    def test_exits_learn_and_frozen_parts_stay(self):
        t = self.trainer()
        before = self.exit_loss(copy.deepcopy(t.model))
        t.run()
        self.assertLess(self.exit_loss(t.model), 0.9 * before)
        for name in ("model.embed_tokens.weight", "model.norm.weight"):
            self.assertTrue(torch.equal(t.model.state_dict()[name], self.published.state_dict()[name]), name)
        moved = [n for n, w in t.model.state_dict().items() if not torch.equal(w, self.published.state_dict()[n])]
        self.assertTrue(all(".layers." in n for n in moved) and moved)

    def test_all_exits_in_turn_with_dropout_and_the_embedding(self):
        t = self.trainer(rotate=1, p_max=0.5, embedding_lr=0.1, other_tokens=0, deep_share=1.0, max_steps=4)
        self.assertEqual([t.pick([1, 2]) for t.step in (0, 1, 2)], [[1], [2], [1]])
        t.step = 0
        t.run()
        self.assertFalse(torch.equal(t.model.head_weight, self.published.head_weight))

    def test_a_checkpoint_goes_on_where_it_was(self):
        with tempfile.TemporaryDirectory() as folder:
            first = self.trainer(out=Path(folder), max_steps=6)
            first.run()
            state = torch.load(Path(folder) / "state.pt")
            model = copy.deepcopy(self.published).requires_grad_(True)
            model.load_state_dict(state["weights"], strict=False)
            second = self.trainer(model, state=state, max_steps=2)
        name = "model.layers.0.mlp.up_proj.weight"
        self.assertTrue(torch.equal(second.average[name], first.average[name]))
        self.assertEqual(second.keeper.weight, first.keeper.weight)
        self.assertEqual(second.optimizers.moments()[name]["step"], 6)
        second.run()

    def test_muon_learns_and_remembers(self):
        with tempfile.TemporaryDirectory() as folder:
            first = self.trainer(out=Path(folder), optimizer="muon")
            before = self.exit_loss(copy.deepcopy(first.model))
            first.run()
            state = torch.load(Path(folder) / "state.pt")
        self.assertLess(self.exit_loss(first.model), 0.9 * before)
        name = "model.layers.0.mlp.up_proj.weight"
        moments = self.trainer(optimizer="muon", state=state).optimizers.moments()
        self.assertTrue(torch.equal(moments[name]["momentum_buffer"], state["moments"][name]["momentum_buffer"]))
        self.assertIn("exp_avg_sq", moments["model.layers.0.input_layernorm.weight"])
        other = self.trainer(optimizer="adamw", state=state).optimizers.moments()
        self.assertNotIn(name, other, "the memory of one optimizer is of no use to the other")

    def test_gradients_of_several_batches_are_averaged(self):
        grads = []
        for count in (1, 2):
            t = self.trainer(accumulate=count, other_tokens=0, deep_share=1.0, lr=0.0)
            t.train_step([pad(self.answers[:4])] * count, 0.0)
            grads.append({n: p.grad.clone() for n, p in t.named.items()})
        for name, grad in grads[0].items():
            self.assertTrue(torch.allclose(grad, grads[1][name], atol=1e-3 * float(grad.abs().max())), name)

    def test_a_step_without_a_finite_gradient_changes_nothing(self):
        t = self.trainer()
        before = {name: p.detach().clone() for name, p in t.named.items()}
        rows = pad(self.answers)
        rows.hidden.fill_(float("nan"))
        t.train_step([rows], 0.0)
        for name, p in t.named.items():
            self.assertTrue(torch.equal(p, before[name]), name)
        for _ in range(20):
            t.train_step([rows], 0.0)
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertTrue(t.finished(0.0))

    def test_a_part_of_a_batch_is_the_batch_of_its_part(self):
        whole, lone = pad(self.answers[:5]), pad(self.answers[1:4])
        part, own = whole.part(1, 3)
        self.assertTrue(torch.equal(part.hidden, lone.hidden) and torch.equal(whole.hidden[own], lone.hidden))
        self.assertEqual((part.at_ends, part.body_ends, part.first), (lone.at_ends, lone.body_ends, lone.first))
        for name in ("at", "body"):
            picked = [getattr(r, name) for r in (part, lone)]
            self.assertTrue(torch.equal(part.ids.flatten()[picked[0]], lone.ids.flatten()[picked[1]]), name)

    def test_batches_hold_every_answer_once(self):
        import random
        batches = make_batches(self.answers, 64, random.Random(0))
        self.assertEqual(sorted(map(id, sum(batches, []))), sorted(map(id, self.answers)))
        for batch in batches:
            self.assertLessEqual(len(batch) * max(len(a.ids) for a in batch), 64)

    def test_the_keeper_pulls_harder_when_the_last_layer_drifts(self):
        low, high = (Keeper(settings()) for _ in range(2))
        for _ in range(10):
            low.update(0.5, 0.5)
            high.update(1.0, 0.5)
        self.assertGreater(low.weight, high.weight)


if __name__ == "__main__":
    unittest.main()
