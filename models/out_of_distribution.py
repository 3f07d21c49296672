"""What is unlike the images of a training, by the network's own maps."""

import torch


class Familiarity(torch.nn.Module):
    """How far an image is from the training images: the Mahalanobis distance of the mean of every map (Lee et al., 2018).

    Texture shows in the early maps and content in the late ones, so both noise and a document are far.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        size = sum(widths)
        self.centre: torch.Tensor
        self.whiten: torch.Tensor
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("whiten", torch.zeros(size, size))

    @staticmethod
    def describe(maps: list[torch.Tensor]) -> torch.Tensor:
        """(B, sum of widths) float32, from maps after a ReLU."""
        return torch.log1p(torch.cat([found.float().mean((2, 3)) for found in maps], 1))

    @torch.no_grad()
    def fit(self, described: torch.Tensor, shrinkage: float = 0.1) -> None:
        """Centre and whitening of (N, size) described training images; correlations are shrunk, fewer images are needed then."""
        values = described.double()
        centre, scale = values.mean(0), values.std(0) + 1e-4
        correlation = torch.cov(((values - centre) / scale).T) * (1 - shrinkage) + torch.eye(len(centre), dtype=torch.double) * shrinkage
        lower = torch.linalg.cholesky(torch.linalg.inv(correlation))
        self.centre.copy_(centre)
        self.whiten.copy_(lower / scale[:, None])

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """(B,) distances; the root of the number of features is an ordinary one."""
        return self.far(self.describe(maps))

    def far(self, described: torch.Tensor) -> torch.Tensor:
        """As ``forward``, for described images."""
        with torch.autocast(described.device.type, enabled=False):  # half precision is too coarse for whitening
            found: torch.Tensor = torch.linalg.vector_norm((described - self.centre) @ self.whiten, dim=1)
        return found
