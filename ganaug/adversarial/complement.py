"""The game in which a classifier is its own discriminator: all classes are real, one more is fake."""

from torch import Tensor

__all__ = ["evidence", "feature_distance"]


def evidence(logits: Tensor) -> Tensor:
    """Return log-odds (n,) that samples are of any class rather than of one more, whose logit is 0.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
        What a classifier says.

    Returns
    -------
    Tensor of shape (n,)
        Large where any class fits, below 0 where none does.

    References
    ----------
    Salimans et al., 1606.03498: the (K+1)-class discriminator, with the last logit fixed at 0.

    Examples
    --------
    >>> import torch
    >>> evidence(torch.tensor([[0.0, 0.0], [-50.0, 3.0]]))  # log 2, and 3
    tensor([0.6931, 3.0000])
    """
    return logits.logsumexp(1)


def feature_distance(real_features: Tensor, fake_features: Tensor) -> Tensor:
    """Return how far the mean features of two batches are apart, which G minimises.

    A G that matches features instead of fooling D ends up beside the classes, not on them: in the gaps that
    the classifier learns to keep free.

    Parameters
    ----------
    real_features, fake_features : Tensor of shape (n, n_features)
        Inputs of the classifier's last layer.

    Returns
    -------
    Tensor
        Mean absolute difference of the means.

    References
    ----------
    Salimans et al., 1606.03498 (feature matching); Dai et al., 1705.09783: why a bad G is a good one here.

    Examples
    --------
    >>> import torch
    >>> feature_distance(torch.tensor([[0.0, 2.0], [2.0, 2.0]]), torch.tensor([[1.0, 5.0]]))
    tensor(1.5000)
    """
    distance: Tensor = (real_features.mean(0) - fake_features.mean(0)).abs().mean()
    return distance
