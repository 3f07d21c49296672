"""Detects images that are unlike the training images, from the network's own feature maps."""

import torch


class FeatureDistance(torch.nn.Module):
    """Mahalanobis distance of the means of all feature maps from those of the training images (Lee et al., 2018).

    Early maps show texture and late maps content, so that both noise and a photographed document are far. Networks keep it under the
    attribute ``familiarity``, which is part of the names of the shipped weights.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        size = sum(widths)
        self.centre: torch.Tensor
        self.whiten: torch.Tensor
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("whiten", torch.zeros(size, size))

    @staticmethod
    def features(maps: list[torch.Tensor]) -> torch.Tensor:
        """(B, sum of widths) float32: log1p of the mean of every map; ``maps`` come after a ReLU."""
        return torch.log1p(torch.cat([found.float().mean((2, 3)) for found in maps], 1))

    @torch.no_grad()
    def fit(self, features: torch.Tensor, shrinkage: float = 0.1) -> None:
        """Set centre and whitening matrix from (N, size) features of training images; shrunk correlations need fewer images."""
        values = features.double()
        centre, scale = values.mean(0), values.std(0) + 1e-4
        correlation = torch.cov(((values - centre) / scale).T) * (1 - shrinkage) + torch.eye(len(centre), dtype=torch.double) * shrinkage
        lower = torch.linalg.cholesky(torch.linalg.inv(correlation))
        self.centre.copy_(centre)
        self.whiten.copy_(lower / scale[:, None])

    def forward(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """(B,) distances; a training image has about the square root of the number of features."""
        return self.distance(self.features(maps))

    def distance(self, features: torch.Tensor) -> torch.Tensor:
        """As ``forward``, from features."""
        with torch.autocast(features.device.type, enabled=False):  # half precision is too coarse for whitening
            found: torch.Tensor = torch.linalg.vector_norm((features - self.centre) @ self.whiten, dim=1)
        return found
