"""What the baseline GRU is compared in when nobody says otherwise; apart from the network, so that parameters are read without PyTorch."""

import itertools

# hidden units (each way, where it reads both), learning rate, dropout, and batch size, None for one that grows with the labelled windows
GRU_SETTINGS = tuple(
    {"hidden": hidden, "lr": lr, "dropout": 0.3, "batch_size": None}
    for hidden, lr in itertools.product((32, 64), (3e-3, 1e-3))
)
