"""Steps of matrices made orthogonal (Jordan et al. 2024): fewer steps than Adam needs, which two cores have to spare."""

import torch


class Muon(torch.optim.Optimizer):
    """For weights of two dimensions or more; the first is that of the outputs (or inputs), the others count as one. A parameter with
    `gates` is that many matrices, one above the other."""

    def __init__(self, parameters, lr, decay=0.0, momentum=0.9):
        super().__init__(parameters, {"lr": lr, "decay": decay, "momentum": momentum})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                mean = self.state[p].setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                gates = getattr(p, "gates", 1)
                x = p.grad.lerp(mean, group["momentum"]).bfloat16().reshape(gates, p.shape[0] // gates, -1)
                turned = x.shape[1] > x.shape[2]
                x = x.transpose(1, 2) if turned else x
                x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
                for _ in range(5):
                    a = x @ x.transpose(1, 2)
                    x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
                x = x.transpose(1, 2) if turned else x
                rows, columns = x.shape[1:]
                p.mul_(1 - group["lr"] * group["decay"])
                p.add_(x.float().reshape(p.shape), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
