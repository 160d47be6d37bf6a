"""What a fit of NextItemModel minimises: full, sampled, pairwise and contrastive losses."""
