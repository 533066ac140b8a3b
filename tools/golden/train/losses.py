#!/usr/bin/env python3
"""Losses, optimisers and the schedule of src/train, as PyTorch has them.

  losses.py OUT.txt

OUT.txt has an array a line: its name, how many numbers, the numbers. Inputs are
floats in full; losses and gradients are by autograd in double from the very
same floats. Losses that PyTorch lacks are written here as in their papers, as
literally as can be: with loops, and no regard for overflow.
"""
import math
import sys

import numpy as np
import torch
import torch.nn.functional as F

SEED = 20250731
arrays = {}


def keep(name, values):
    """Keeps an array for the file, floats as floats."""
    arrays[name] = np.atleast_1d(np.asarray(values)).ravel()


def as_float(*sizes, scale=1.0, random=np.random.default_rng(SEED)):
    return (random.standard_normal(sizes) * scale).astype(np.float32)


def graph(x):
    return torch.tensor(x.astype(np.float64), requires_grad=True)


def keep_loss(name, loss, **inputs):
    """Keeps the loss and its gradients by the inputs."""
    loss.backward()
    keep(f"{name}.loss", loss.item())
    for input_name, x in inputs.items():
        keep(f"{name}.{input_name}_grad", x.grad.numpy())


# ---- over logits -------------------------------------------------------------

def cross_entropy():
    logits, labels = as_float(9, 7, scale=3), np.array([0, 6, -1, 3, 3, 2, -1, 5, 1])
    keep("cross_entropy.logits", logits)
    keep("cross_entropy.labels", labels)
    for smoothing in (0.0, 0.1):
        x = graph(logits)
        loss = F.cross_entropy(x, torch.tensor(labels), ignore_index=-1, label_smoothing=smoothing)
        keep_loss(f"cross_entropy_{smoothing}", loss, logits=x)
    right = (logits.argmax(1) == labels) & (labels >= 0)
    keep("cross_entropy.n_right", right.sum())


def distil():
    logits, teacher = as_float(8, 7, scale=3), as_float(8, 7, scale=3)
    keep("distil.logits", logits)
    keep("distil.teacher", teacher)
    for t in (1.0, 4.0):
        x = graph(logits)
        loss = t * t * F.kl_div(F.log_softmax(x / t, 1),
                                F.log_softmax(torch.tensor(teacher).double() / t, 1),
                                reduction="batchmean", log_target=True)
        keep_loss(f"distil_{t}", loss, logits=x)


# ---- over directions ---------------------------------------------------------

def relations():
    rows, teacher = as_float(9, 6), as_float(9, 4)
    keep("relations.x", rows)
    keep("relations.teacher", teacher)
    x = graph(rows)
    cosines = [F.cosine_similarity(e[:, None], e[None], dim=2)
               for e in (x, torch.tensor(teacher).double())]
    off = torch.triu_indices(9, 9, 1)
    keep_loss("relations", ((cosines[0] - cosines[1]) ** 2)[off[0], off[1]].mean(), x=x)


def contrastive(name, identities, groups, temperature):
    """Khosla et al. 2020, equation 2; without the photos of an anchor's group."""
    n = len(identities)
    rows = as_float(n, 8)
    keep(f"{name}.x", rows)
    keep(f"{name}.identities", identities)
    keep(f"{name}.groups", groups)
    x = graph(rows)
    z = F.normalize(x)
    anchors = []
    for i in range(n):
        same = [j for j in range(n)
                if j != i and identities[i] >= 0 and identities[i] == identities[j]]
        all_others = [a for a in range(n) if a != i
                      and (a in same or groups[i] < 0 or groups[i] != groups[a])]
        below = sum(torch.exp(z[i] @ z[a] / temperature) for a in all_others)
        if same:
            anchors.append(-sum(torch.log(torch.exp(z[i] @ z[p] / temperature) / below)
                                for p in same) / len(same))
    keep_loss(name, sum(anchors) / len(anchors), x=x)


def proxy_anchor():
    """Kim et al. 2020, equation 4."""
    labels, n_proxies, alpha, margin = [0, 3, 3, -1, 1, 0, 4, 3], 6, 32.0, 0.1
    rows, centres = as_float(8, 5), as_float(n_proxies, 5)
    keep("proxy_anchor.x", rows)
    keep("proxy_anchor.proxies", centres)
    keep("proxy_anchor.labels", labels)
    x, proxies = graph(rows), graph(centres)
    s = F.normalize(x) @ F.normalize(proxies).T
    pull = push = 0
    for p in range(n_proxies):
        own = [torch.exp(-alpha * (s[i, p] - margin)) for i in range(8) if labels[i] == p]
        others = [torch.exp(alpha * (s[i, p] + margin))
                  for i in range(8) if labels[i] not in (p, -1)]
        pull = pull + (torch.log(1 + sum(own)) if own else 0)
        push = push + torch.log(1 + sum(others))
    present = len(set(labels) - {-1})
    keep_loss("proxy_anchor", pull / present + push / n_proxies, x=x, proxies=proxies)


def arcface():
    """Deng et al. 2019, algorithm 1; past pi as in the authors' code. Photo 1 is
    opposite to its centre, so that it is past pi."""
    labels, scale, margin = np.array([2, 0, -1, 4, 4, 1]), 16.0, 0.5
    rows, centres = as_float(6, 5), as_float(5, 5)
    rows[1] = -1.5 * centres[0] + 0.1 * rows[1]
    keep("arcface.x", rows)
    keep("arcface.centres", centres)
    keep("arcface.labels", labels)
    x, c = graph(rows), graph(centres)
    cosines = F.normalize(x) @ F.normalize(c).T
    angles = torch.acos(cosines)
    moved = torch.where(angles + margin < math.pi, torch.cos(angles + margin),
                        cosines - margin * math.sin(margin))
    own = F.one_hot(torch.tensor(labels).clamp(min=0), 5).bool()
    loss = F.cross_entropy(scale * torch.where(own, moved, cosines), torch.tensor(labels),
                           ignore_index=-1)
    keep_loss("arcface", loss, x=x, centres=c)


# ---- optimisers --------------------------------------------------------------

def rates(n=20, warm_up=4, peak=0.05, last=0.001):
    scheduled = torch.optim.SGD([torch.zeros(1)], lr=peak)
    schedule = torch.optim.lr_scheduler.SequentialLR(scheduled, [
        torch.optim.lr_scheduler.LambdaLR(scheduled, lambda step: step / warm_up),
        torch.optim.lr_scheduler.CosineAnnealingLR(scheduled, n - warm_up, eta_min=last),
    ], milestones=[warm_up])
    values = []
    for _ in range(n + 1):
        values.append(scheduled.param_groups[0]["lr"])
        scheduled.step()
        schedule.step()
    keep("rates", values)


STEPS, SIZE, DECAY, CLIP, EMA = 10, 24, 0.1, 4.0, 0.3
RATES = [0.01 * (1 + step % 3) for step in range(STEPS)]


def optimise(name, make, start, gradients):
    """Half of the parameters decay; every gradient is clipped as a whole. The
    decay of PyTorch's SGD goes through the momentum and ours does not, so both
    decay here by hand, as its AdamW does it."""
    param = torch.nn.Parameter(torch.tensor(start.astype(np.float64)))
    optimiser = make([param])
    average = param.detach().clone()
    decay = torch.tensor([DECAY] * (SIZE // 2) + [0.0] * (SIZE // 2)).double()
    params, norms = [], []
    for step in range(STEPS):
        param.grad = torch.tensor(gradients[step].astype(np.float64))
        norms.append(torch.nn.utils.get_total_norm([param.grad]).item())
        param.grad *= min(1.0, CLIP / norms[-1])
        with torch.no_grad():
            param *= 1 - RATES[step] * decay
        optimiser.param_groups[0]["lr"] = RATES[step]
        optimiser.step()
        kept = min(EMA, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * param.detach()
        params.append(param.detach().numpy().copy())
    keep(f"{name}.params", np.concatenate(params))
    keep(f"{name}.average", average.numpy())
    keep("optimise.norms", norms)


def optimisers():
    start, gradients = as_float(SIZE), as_float(STEPS, SIZE)
    gradients[::2] *= np.float32(0.3)  # not all are clipped
    keep("optimise.start", start)
    keep("optimise.gradients", gradients)
    keep("optimise.rates", RATES)
    betas = tuple(float(np.float32(beta)) for beta in (0.9, 0.999))  # as floats have them
    optimise("sgd", lambda p: torch.optim.SGD(p, lr=1, momentum=betas[0]), start, gradients)
    optimise("adamw", lambda p: torch.optim.AdamW(p, lr=1, betas=betas, eps=1e-8, weight_decay=0),
             start, gradients)


def main():
    cross_entropy()
    distil()
    relations()
    contrastive("contrastive", [0, 1, 0, 2, 1, -1, 0, -1, 3], [-1] * 9, 0.2)
    contrastive("contrastive_groups", [0, 1, 0, 2, 1, -1, 0, -1, 1],
                [5, 5, 5, -1, -1, 7, 7, 7, 6], 0.5)
    proxy_anchor()
    arcface()
    rates()
    optimisers()
    with open(sys.argv[1], "w", encoding="ascii") as file:
        print(f"# by tools/golden/train/losses.py; torch {torch.__version__}, numpy "
              f"{np.__version__}, seed {SEED}", file=file)
        print("# gradients and losses to 1e-5 of the largest, parameters to 1e-6", file=file)
        for name, values in arrays.items():
            digits = 9 if values.dtype == np.float32 else 12
            print(name, len(values), *(f"{v:.{digits}g}" for v in values), file=file)


if __name__ == "__main__":
    main()
