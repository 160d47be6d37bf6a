"""The losses of NextItemModel: full and sampled softmax, pairwise and contrastive."""
